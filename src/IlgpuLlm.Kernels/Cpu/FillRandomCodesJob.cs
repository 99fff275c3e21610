using System.Runtime.CompilerServices;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>Codes are hashes of the seed and their place; scales and zero points make them uniform over about [-amplitude, amplitude).</summary>
internal sealed class FillRandomCodesJob(CpuPanelWeight weight, ulong seed, float amplitude) : ParallelJob
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Execute(int part, int numParts)
    {
        (int first, int end) = Share(weight.OutFeatures, part, numParts);
        QuantizationFormat format = weight.Quantization!;
        int middle = 1 << (format.Bits - 1), numGroups = format.NumGroups(weight.InFeatures);
        byte[] codes = new byte[weight.InFeatures], zeros = new byte[numGroups];
        var scales = new Half[numGroups];
        Array.Fill(zeros, (byte)middle);
        Array.Fill(scales, (Half)(amplitude / middle));
        for (int row = first; row < end; row++)
        {
            ulong index = (ulong)row * (ulong)weight.InFeatures;
            for (int k = 0; k < codes.Length; k++)
                codes[k] = (byte)(CpuPanelWeight.Hash(seed, index + (ulong)k) >> (64 - format.Bits));
            weight.LoadQuantizedRows(row, 1, new QuantizedRows(codes, scales, zeros));
        }
    }
}
