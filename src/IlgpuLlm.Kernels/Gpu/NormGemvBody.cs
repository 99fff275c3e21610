using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// <see cref="GemvBody{TFormat, TStorage, TRaw, TX, TChunk, TOutput, TOut}"/> of a row that each group normalizes first, while its first weights are on their way.
/// </summary>
internal static class NormGemvBody<TFormat, TStorage, TRaw, TX, TChunk, TElement, TOutput, TOut>
    where TFormat : struct, IRowFormat<TStorage, TRaw, TX, TChunk>
    where TStorage : unmanaged
    where TRaw : unmanaged
    where TX : unmanaged
    where TChunk : unmanaged
    where TElement : struct, IElement<TX>
    where TOutput : struct, IGemvOutput<TOut>
    where TOut : unmanaged
{
    internal static void Body(
        ArrayView<TStorage> weight, ArrayView<float> bias, ArrayView<float> x, ArrayView<float> norm, float epsilon, ArrayView<TOut> output, GemvShape shape)
    {
        var requested = GemvBody<TFormat, TStorage, TRaw, TX, TChunk, TOutput, TOut>.Request(weight, shape);
        var requestedNorm = NormedRow.Request(norm, shape.InFeatures);
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        var row = NormedRow.Make<TElement, TX>(x, norm, requestedNorm, shape.InFeatures, epsilon);
        GemvBody<TFormat, TStorage, TRaw, TX, TChunk, TOutput, TOut>.Multiply(weight, bias, row, output, shape, requested);
    }
}
