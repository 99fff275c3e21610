namespace IlgpuLlm;

/// <summary>
/// The base of every error that comes from the user's input: a checkpoint, a request, an option. The message is one line that names the file or
/// field, the value and the limit.
/// </summary>
public abstract class IlgpuLlmException : Exception
{
    /// <summary>Makes the error.</summary>
    protected IlgpuLlmException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}

/// <summary>A checkpoint folder or one of its files cannot be used: missing, malformed, inconsistent or of an unsupported kind.</summary>
public sealed class CheckpointException : IlgpuLlmException
{
    /// <summary>Makes the error.</summary>
    /// <param name="file">The file or folder.</param>
    /// <param name="problem">What is wrong: field, value, limit.</param>
    /// <param name="innerException">The cause, if another error is.</param>
    public CheckpointException(string file, string problem, Exception? innerException = null)
        : base($"{file}: {problem}", innerException) => File = file;

    /// <summary>The file or folder.</summary>
    public string File { get; }
}

/// <summary>A request or its sampling parameters are not valid, or the request can never run on this engine.</summary>
public sealed class InvalidRequestException : IlgpuLlmException
{
    /// <summary>Makes the error.</summary>
    /// <param name="field">The field, in vLLM's spelling: <c>max_tokens</c>, <c>prompt</c>.</param>
    /// <param name="problem">What is wrong: value and limit.</param>
    public InvalidRequestException(string field, string problem)
        : base($"{field}: {problem}") => Field = field;

    /// <summary>The field, in vLLM's spelling.</summary>
    public string Field { get; }
}

/// <summary>An engine option is not valid, or the device it names does not exist.</summary>
public sealed class InvalidOptionException : IlgpuLlmException
{
    /// <summary>Makes the error.</summary>
    /// <param name="option">The option, in the command line's spelling without dashes: <c>device</c>, <c>dtype</c>.</param>
    /// <param name="problem">What is wrong: value and what is supported.</param>
    public InvalidOptionException(string option, string problem)
        : base($"{option}: {problem}") => Option = option;

    /// <summary>The option, in the command line's spelling without dashes.</summary>
    public string Option { get; }
}

/// <summary>The engine itself failed; every request of it ends with this error.</summary>
public sealed class EngineDeadException(Exception cause) : IlgpuLlmException($"the engine has stopped: {cause.Message}", cause);
