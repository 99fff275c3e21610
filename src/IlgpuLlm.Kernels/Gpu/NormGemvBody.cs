using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// <see cref="GemvBody{TFormat, TStorage, TRaw, TX, TChunk, TOutput, TOut}"/> of a row that each group normalizes first, while its first weights are on their way.
/// </summary>
internal static class NormGemvBody<TOutput, TOut>
    where TOutput : struct, IGemvOutput<TOut>
    where TOut : unmanaged
{
    internal static void Body(
        ArrayView<ushort> weight, ArrayView<float> bias, ArrayView<float> x, ArrayView<float> norm, float epsilon, ArrayView<TOut> output, GemvShape shape)
    {
        var start = GemvBody<HalfRow, ushort, UInt4, ushort, Float8, TOutput, TOut>.Request(weight, shape);
        var requestedNorm = NormedRow.Request(norm, shape.InFeatures);
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        var row = NormedRow.Make<F16Element, ushort>(x, norm, requestedNorm, shape.InFeatures, epsilon);
        GemvBody<HalfRow, ushort, UInt4, ushort, Float8, TOutput, TOut>.Multiply(weight, bias, row, output, shape, start);
    }
}
