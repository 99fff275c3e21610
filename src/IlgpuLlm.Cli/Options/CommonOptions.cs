using System.CommandLine;

namespace IlgpuLlm.Cli.Options;

/// <summary>Options of several commands.</summary>
internal static class CommonOptions
{
    /// <summary>--model.</summary>
    public static Option<string?> CreateModel() =>
        OptionFactory.Text("--model", "DIR", "Model folder in Hugging Face layout. Default: the embedded demo model.");

    /// <summary>--device.</summary>
    public static Option<string?> CreateDevice() => OptionFactory.Text("--device", "DEVICE",
        "auto (CUDA if there is one, else the CPU), cpu, cuda, cuda:N, or ilgpu-cpu (slow, to test kernels). Default: auto.");

    /// <summary>--threads.</summary>
    public static Option<int?> CreateThreads() => OptionFactory.Number<int>("--threads", "N", "CPU threads; 0: one a physical core. Default: 0.");

    /// <summary>--verbose, of every command.</summary>
    public static Option<bool> CreateVerbose()
    {
        var option = OptionFactory.Flag("--verbose", "Logs and the details of errors, on stderr.");
        option.Recursive = true;
        return option;
    }
}
