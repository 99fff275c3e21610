namespace IlgpuLlm.Cli;

/// <summary>Options that are valid one by one and not together.</summary>
internal sealed class UsageException(string message) : Exception(message);
