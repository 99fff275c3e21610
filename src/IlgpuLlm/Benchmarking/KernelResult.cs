using System.Text.Json.Serialization;
using IlgpuLlm.Kernels.Cpu;

namespace IlgpuLlm.Benchmarking;

/// <summary>One operation alone.</summary>
/// <param name="Name">The operation and its shape.</param>
/// <param name="NumRows">Tokens.</param>
/// <param name="Microseconds">The best average of some series.</param>
/// <param name="GigabytesPerSecond">Bytes that it must at least move, over the time.</param>
/// <param name="Teraflops">Multiplications and additions, over the time.</param>
/// <param name="PercentOfCopy">The bytes as a share of the device's measured copy bandwidth.</param>
/// <param name="PercentOfPeak">
/// The operations as a share of a CPU's measured peak, or of the peak of a GPU's tensor cores; null where that is not known or the weights are not float16.
/// </param>
/// <param name="CpuPeak">What a CPU gave to simple loops; null on other devices.</param>
public sealed record KernelResult(string Name, int NumRows, double Microseconds, double GigabytesPerSecond, double Teraflops, double PercentOfCopy,
    double? PercentOfPeak, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] CpuPeak? CpuPeak = null)
{
    /// <summary>The bytes as a share of a CPU's measured rate of reading; null on other devices. What caches serve may be above 100.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public double? PercentOfRead => 100 * GigabytesPerSecond / CpuPeak?.ReadGigabytesPerSecond;
}
