using System.Numerics.Tensors;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Quantization;

/// <summary>Rounds whole matrices.</summary>
internal static class Rounding
{
    private const int SymmetricZero = 128;

    /// <summary>Rounds to nearest between the extremes of each group.</summary>
    public static QuantizedRowsBuffer ToNearest(HostMatrix matrix, QuantizationFormat format) => ForEachRow(matrix, format, (row, codes, scales, zeros) =>
        CheckFits(matrix, row, GroupQuantizer.Quantize(matrix.Row(row), format, codes, scales, zeros)));

    /// <summary>Rounds to nearest in 8 bits, with zero points of 128: the kind of 8-bit GPTQ files that all engines read.</summary>
    public static QuantizedRowsBuffer ToNearestSymmetric(HostMatrix matrix, QuantizationFormat format)
    {
        int length = format.GroupLength(matrix.InFeatures);
        return ForEachRow(matrix, format, (row, codes, scales, zeros) =>
        {
            for (int group = 0; group < scales.Length; group++)
            {
                var values = matrix.Row(row).Slice(group * length, length);
                float largest = Math.Abs(TensorPrimitives.MaxMagnitude<float>(values));
                var scale = (Half)(largest / (SymmetricZero - 1));
                if (!Half.IsFinite(scale))
                    CheckFits(matrix, row, group * length + TensorPrimitives.IndexOfMaxMagnitude<float>(values));
                if (scale == Half.Zero)
                    scale = Half.Epsilon;
                scales[group] = scale;
                zeros[group] = SymmetricZero;
                for (int i = 0; i < length; i++)
                    codes[group * length + i] = (byte)Math.Clamp(MathF.Round(values[i] / (float)scale) + SymmetricZero, 0, byte.MaxValue);
            }
        });
    }

    /// <summary>Quantizes the rows of a matrix on all cores.</summary>
    public static QuantizedRowsBuffer ForEachRow(HostMatrix matrix, QuantizationFormat format, RowQuantizer quantize)
    {
        int width = matrix.InFeatures, numGroups = format.NumGroups(width);
        var result = new QuantizedRowsBuffer(matrix.OutFeatures, width, numGroups);
        Parallel.For(0, matrix.OutFeatures, row => quantize(row, result.Codes.Slice(row * width, width),
            result.Scales.Slice(row * numGroups, numGroups), result.Zeros.Slice(row * numGroups, numGroups)));
        return result;
    }

    /// <summary>Throws for the value that could not be quantized.</summary>
    /// <param name="matrix">The matrix.</param>
    /// <param name="row">The row.</param>
    /// <param name="bad">The index of the value; -1: all could.</param>
    /// <exception cref="QuantizationException">There is one.</exception>
    public static void CheckFits(HostMatrix matrix, int row, int bad)
    {
        if (bad >= 0)
            throw new QuantizationException($"{matrix.Module}: weight [{row}, {bad}]: {matrix.Row(row)[bad]} is too large to be quantized: scales have 16 bits");
    }
}

/// <summary>Quantizes a row.</summary>
internal delegate void RowQuantizer(int row, Span<byte> codes, Span<Half> scales, Span<byte> zeros);
