using System.Numerics.Tensors;

namespace IlgpuLlm.Kernels;

/// <summary>Round-to-nearest quantization: each group's scale and zero point span its smallest and largest value, and 0 is exact.</summary>
public static class GroupQuantizer
{
    /// <summary>Quantizes a row.</summary>
    /// <param name="values">[inFeatures].</param>
    /// <param name="format">Bits and groups, which divide the row.</param>
    /// <param name="codes">[inFeatures].</param>
    /// <param name="scales">[numGroups].</param>
    /// <param name="zeros">[numGroups].</param>
    /// <returns>The index of a value that is not finite or too large for a scale of 16 bits, at most 65504 * (2^bits - 1) between a group's extremes; -1: none.</returns>
    public static int Quantize(ReadOnlySpan<float> values, QuantizationFormat format, Span<byte> codes, Span<Half> scales, Span<byte> zeros)
    {
        ArgumentNullException.ThrowIfNull(format);
        int length = format.GroupLength(values.Length), largest = (1 << format.Bits) - 1;
        for (int group = 0; group * length < values.Length; group++)
        {
            var source = values.Slice(group * length, length);
            float low = Math.Min(0, TensorPrimitives.Min(source)), high = Math.Max(0, TensorPrimitives.Max(source));
            var scale = (Half)((high - low) / largest);
            if (!Half.IsFinite(scale)) // NaN comes out of Min and Max
                return group * length + IndexOfWorst(source);
            // A scale that is 0 could not be divided by: such small values keep the smallest there is.
            float step = (float)(scale == Half.Zero ? Half.Epsilon : scale);
            int zero = (int)Math.Clamp(MathF.Round(-low / step), 0, largest);
            scales[group] = (Half)step;
            zeros[group] = (byte)zero;
            for (int i = 0; i < length; i++)
                codes[group * length + i] = (byte)Math.Clamp(MathF.Round(source[i] / step) + zero, 0, largest);
        }
        return -1;
    }

    private static int IndexOfWorst(ReadOnlySpan<float> values)
    {
        for (int i = 0; i < values.Length; i++)
            if (!float.IsFinite(values[i]))
                return i;
        return TensorPrimitives.IndexOfMaxMagnitude(values);
    }
}
