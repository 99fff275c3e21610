namespace IlgpuLlm.Benchmarking;

/// <summary>One operation alone.</summary>
/// <param name="Name">The operation and its shape.</param>
/// <param name="NumRows">Tokens.</param>
/// <param name="Microseconds">The best average of some series.</param>
/// <param name="GigabytesPerSecond">Bytes that it must at least move, over the time.</param>
/// <param name="Teraflops">Multiplications and additions, over the time.</param>
/// <param name="PercentOfCopy">The bytes as a share of the device's measured copy bandwidth.</param>
/// <param name="PercentOfPeak">The operations as a share of the tensor cores' peak; null where the device's is not known or the weights are not float16.</param>
public sealed record KernelResult(string Name, int NumRows, double Microseconds, double GigabytesPerSecond, double Teraflops, double PercentOfCopy,
    double? PercentOfPeak);
