using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// <see cref="GemvBody{TFormat, TStorage, TRaw, TX, TChunk, TOutput, TOut}"/> of a row that each group normalizes first, while its first weights are on their way.
/// </summary>
internal static class NormGemvBody<TOutput>
    where TOutput : struct, IGemvOutput<ushort>
{
    internal static void Body(
        ArrayView<ushort> weight, ArrayView<float> bias, ArrayView<float> x, ArrayView<float> norm, float epsilon, ArrayView<ushort> output, GemvShape shape)
    {
        var start = GemvBody<HalfRow, ushort, UInt4, ushort, Float8, TOutput, ushort>.Request(weight, shape);
        var requestedNorm = NormedRow.Request(norm, shape.InFeatures);
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        var row = NormedRow.Make(x, norm, requestedNorm, shape.InFeatures, epsilon);
        GemvBody<HalfRow, ushort, UInt4, ushort, Float8, TOutput, ushort>.Multiply(weight, bias, row, output, shape, start);
    }
}
