using IlgpuLlm.Bench.Reports;

namespace IlgpuLlm.Bench.Precisions;

/// <summary>The log's figures, in the seed's words.</summary>
internal static class SeedLines
{
    /// <summary><c>llama-IlgpuLlm (token/sec), float16: 89.43 ± 0.19</c>.</summary>
    public static string Rate(string name, PrecisionReport precision) =>
        FormattableString.Invariant($"{name} (token/sec), {precision.Precision}: {precision.TokensPerSecond!.Mean:F2} ± {precision.TokensPerSecond.Std:F2}");

    /// <summary><c>llama-IlgpuLlm (memory usage), float16: 77928.07 MB</c>.</summary>
    public static string Memory(string name, PrecisionReport precision) =>
        FormattableString.Invariant($"{name} (memory usage), {precision.Precision}: {precision.MemoryUsageMb:F2} MB");
}
