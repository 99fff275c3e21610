namespace IlgpuLlm.Bench;

/// <summary>A file or folder that a benchmark needs cannot be used.</summary>
/// <param name="file">The file or folder.</param>
/// <param name="problem">What is wrong: field, value, limit.</param>
/// <param name="innerException">The cause, if another error is.</param>
internal sealed class BenchException(string file, string problem, Exception? innerException = null) : IlgpuLlmException($"{file}: {problem}", innerException);
