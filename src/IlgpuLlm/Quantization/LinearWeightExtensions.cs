using System.Runtime.InteropServices;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Quantization;

/// <summary>Fills weights from the machine's memory.</summary>
internal static class LinearWeightExtensions
{
    private const int RowsAtOnce = 256; // keeps the bytes of a call within a span's length, whatever the matrix

    /// <summary>Fills neighbouring rows on all cores.</summary>
    /// <param name="target">The weight, not quantized.</param>
    /// <param name="firstRow">The first row to fill.</param>
    /// <param name="values">[numRows, target.InFeatures].</param>
    public static void LoadFloats(this LinearWeight target, int firstRow, ReadOnlyMemory<float> values)
    {
        int width = target.InFeatures, numRows = values.Length / width;
        Parallel.For(0, (numRows + RowsAtOnce - 1) / RowsAtOnce, part =>
        {
            int first = part * RowsAtOnce, count = Math.Min(RowsAtOnce, numRows - first);
            target.LoadRows(firstRow + first, count, ElementType.F32, MemoryMarshal.AsBytes(values.Span.Slice(first * width, count * width)));
        });
    }
}
