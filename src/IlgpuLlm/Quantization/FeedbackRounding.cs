using System.Numerics.Tensors;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Quantization;

/// <summary>
/// Rounds weights so that the outputs change least: each one makes good, as far as it can, what rounding those before it has spoilt. Each group's range is
/// searched as in AWQ: weights beyond it are cut, and the steps between codes become smaller.
/// </summary>
/// <param name="factor">Of what the weights are multiplied by.</param>
/// <param name="format">How they are quantized.</param>
internal sealed class FeedbackRounding(ErrorFactor factor, QuantizationFormat format)
{
    private const int NumSteps = 20;
    private const double SmallestShare = 0.5; // of the largest magnitude

    /// <summary>Rounds a matrix. The codes are of its weights times the scales.</summary>
    /// <param name="matrix">The weights.</param>
    /// <param name="scales">[inFeatures].</param>
    /// <exception cref="QuantizationException">A weight is too large.</exception>
    public QuantizedRowsBuffer Quantize(HostMatrix matrix, float[] scales) => Rounding.ForEachRow(matrix, format, (row, codes, rowScales, zeros) =>
        RoundRow(matrix, row, scales, codes, rowScales, zeros));

    /// <summary>By how much rounding changes the outputs of some rows from all over a matrix, a mean square a row.</summary>
    public double ErrorOf(HostMatrix matrix, float[] scales, int maxRows)
    {
        int numRows = Math.Min(maxRows, matrix.OutFeatures), numGroups = format.NumGroups(matrix.InFeatures);
        double[] errors = new double[numRows];
        Parallel.For(0, numRows, i =>
        {
            using var rounded = new QuantizedRowsBuffer(1, matrix.InFeatures, numGroups);
            int row = (int)((long)i * matrix.OutFeatures / numRows);
            errors[i] = RoundRow(matrix, row, scales, rounded.Codes, rounded.Scales, rounded.Zeros);
        });
        return errors.Average() * matrix.OutFeatures;
    }

    private double RoundRow(HostMatrix matrix, int row, float[] scales, Span<byte> codes, Span<Half> rowScales, Span<byte> zeros)
    {
        int width = matrix.InFeatures, length = format.GroupLength(width), largest = (1 << format.Bits) - 1;
        byte[] candidate = new byte[length];
        float[] changes = new float[width], wanted = new float[length], groupChanges = new float[length], scaled = new float[length];
        double sum = 0;
        for (int first = 0; first < width; first += length)
        {
            var values = matrix.Row(row).Slice(first, length);
            var groupScales = scales.AsSpan(first, length);
            for (int j = 0; j < length; j++)
                wanted[j] = values[j] - factor.Carried(changes, 0, first + j);
            TensorPrimitives.Multiply(wanted, groupScales, scaled);
            float low = TensorPrimitives.Min<float>(scaled), high = TensorPrimitives.Max<float>(scaled), extreme = Math.Max(-low, high);
            double least = double.PositiveInfinity;
            for (int step = 0; step <= NumSteps; step++)
            {
                float limit = (float)(extreme * (1 - (1 - SmallestShare) * step / NumSteps));
                if (!GroupQuantizer.FindScale(Math.Max(low, -limit), Math.Min(high, limit), largest, out var scale, out byte zero))
                    Rounding.CheckFits(matrix, row, first + TensorPrimitives.IndexOfMaxMagnitude<float>(values));
                double error = RoundGroup(values, wanted, groupScales, first, (float)scale, zero, largest, candidate, groupChanges, least);
                if (error >= least)
                    continue;
                least = error;
                candidate.CopyTo(codes[first..]);
                groupChanges.CopyTo(changes, first);
                (rowScales[first / length], zeros[first / length]) = (scale, zero);
            }
            sum += least;
        }
        return sum;
    }

    /// <summary>Rounds a group with a given range. Returns its error, or one that is not below <paramref name="least"/>, where it stopped.</summary>
    private double RoundGroup(ReadOnlySpan<float> values, ReadOnlySpan<float> wanted, ReadOnlySpan<float> scales, int first, float scale, byte zero, int largest,
        Span<byte> codes, Span<float> changes, double least)
    {
        double error = 0;
        for (int j = 0; j < values.Length && error < least; j++)
        {
            float best = wanted[j] - factor.Carried(changes, first, first + j);
            codes[j] = (byte)Math.Clamp(MathF.Round(best * scales[j] / scale) + zero, 0, largest);
            float rounded = (codes[j] - zero) * scale / scales[j];
            changes[j] = rounded - values[j];
            error += factor.Weight(first + j) * (rounded - best) * (rounded - best);
        }
        return error;
    }
}
