using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// <see cref="QuantizedStreamBody{TCodes, TRaw, THalves, TWarps, TOutput}"/> of one row that each group normalizes first, while its first weights are on their way.
/// </summary>
internal static class NormQuantizedStreamBody<TCodes, TRaw, THalves, TWarps, TOutput>
    where TCodes : struct, IQuantizedCodes<TRaw>
    where TRaw : unmanaged
    where THalves : struct, IHalfGroups
    where TWarps : struct, IConstant
    where TOutput : struct, IQuantizedOutput
{
    internal static void Body(long codes, long groups, ArrayView<float> x, ArrayView<float> norm, float epsilon, QuantizedOutput output, QuantizedStream stream)
    {
        int part = Grid.IdxX, width = stream.NumBlocks * QuantizedLayout.BlockInputs;
        var place = QuantizedStreamBody<TCodes, TRaw, THalves, TWarps, TOutput>.Place(codes, groups, part, stream);
        var requested = QuantizedStreamBody<TCodes, TRaw, THalves, TWarps, TOutput>.Request(place, stream);
        var requestedNorm = NormedRow.Request(norm, width);
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        var row = NormedRow.Make(x, norm, requestedNorm, width, epsilon).Cast<uint>();
        QuantizedStreamBody<TCodes, TRaw, THalves, TWarps, TOutput>.Multiply(place, requested, row, part, firstRow: 0, output, stream);
    }
}
