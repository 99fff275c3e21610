using System.Text;

namespace IlgpuLlm.Cli;

/// <summary>How errors are told: one line, and an exit code.</summary>
internal static class ErrorReport
{
    /// <summary>Finds the exit code and the message of an error. Fields and options are named as on the command line.</summary>
    public static (int ExitCode, string Message) Describe(Exception error) => error switch
    {
        UsageException => (ExitCode.Usage, error.Message),
        InvalidOptionException => (ExitCode.Usage, $"--{error.Message}"),
        // Not an option, but what it works on.
        InvalidRequestException { Field: "prompt" or "token_ids" } => (ExitCode.Failure, error.Message),
        InvalidRequestException e => (ExitCode.Usage, OptionOf(e.Field) + e.Message[e.Field.Length..]),
        IlgpuLlmException or IOException or UnauthorizedAccessException => (ExitCode.Failure, error.Message),
        _ => (ExitCode.Failure, $"{error.GetType().Name}: {error.Message}"),
    };

    /// <summary>The line for a message, whatever line breaks are in it.</summary>
    public static string OneLine(string message)
    {
        var line = new StringBuilder("error: ");
        foreach (string part in message.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            line.Append(line.Length > "error: ".Length ? " " : "").Append(part);
        return line.ToString();
    }

    private static string OptionOf(string field) => field == "prompt_token_ids" ? "--prompt-ids" : $"--{field.Replace('_', '-')}";
}
