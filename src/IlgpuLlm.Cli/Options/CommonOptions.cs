using System.CommandLine;

namespace IlgpuLlm.Cli.Options;

/// <summary>Options of several commands.</summary>
internal static class CommonOptions
{
    /// <summary>--model.</summary>
    public static Option<string?> CreateModel() =>
        OptionFactory.Text("--model", "DIR", "Model folder in Hugging Face layout. Default: the embedded demo model.");

    /// <summary>--verbose, of every command.</summary>
    public static Option<bool> CreateVerbose()
    {
        var option = OptionFactory.Flag("--verbose", "Logs and the details of errors, on stderr.");
        option.Recursive = true;
        return option;
    }
}
