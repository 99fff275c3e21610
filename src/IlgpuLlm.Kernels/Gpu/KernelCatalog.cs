namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Every kernel there is. Devices load kernels from here alone and the ptxas gate compiles all of them, so one that is not listed does not run.
/// </summary>
internal static class KernelCatalog
{
    /// <summary>The kernels, in the order of a step.</summary>
    public static IReadOnlyList<GpuKernel> All { get; } =
    [
        .. GatherRowsKernel.Variants,
        .. RmsNormKernel.Variants,
        .. GemvKernel.Variants,
        .. NormGemvKernel.Variants,
        .. LinearKernel.Variants,
        .. SimtLinearKernel.Variants,
        .. MmaLinearKernel.Variants,
        .. HopperLinearKernel.Variants,
        .. QuantizedPlainKernel.Variants,
        .. QuantizedStreamKernel.Variants,
        .. HopperQuantizedKernel.Variants,
        .. DequantizeKernel.Variants,
        .. ReorderKernel.Variants,
        .. RotaryKernel.Variants,
        .. AttentionKernel.Variants,
        .. WidenCacheKernel.Variants,
        .. FlashAttentionKernel.Variants,
        .. FloatFlashKernel.Variants,
        .. HopperFlashAttentionKernel.Variants,
        .. DecodeAttentionKernel.Variants,
        .. FloatDecodeKernel.Variants,
        .. WarpAttentionKernel.Variants,
        .. SiluMulKernel.Variants,
        .. SampleKernel.Variants,
        .. FillRandomKernel.Variants,
        .. QuantizedFillKernel.Variants,
    ];
}
