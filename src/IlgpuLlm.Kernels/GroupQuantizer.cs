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
            if (!FindScale(TensorPrimitives.Min(source), TensorPrimitives.Max(source), largest, out scales[group], out zeros[group]))
                return group * length + IndexOfWorst(source);
            float step = (float)scales[group];
            for (int i = 0; i < length; i++)
                codes[group * length + i] = (byte)Math.Clamp(MathF.Round(source[i] / step) + zeros[group], 0, largest);
        }
        return -1;
    }

    /// <summary>The scale and the zero point of a group.</summary>
    /// <param name="low">The smallest value that has a code of its own; 0 if that is less.</param>
    /// <param name="high">The largest; 0 if that is more.</param>
    /// <param name="largest">The largest code, 2^bits - 1.</param>
    /// <param name="scale">The scale, above 0.</param>
    /// <param name="zero">The zero point.</param>
    /// <returns>Whether the values are finite and the scale fits 16 bits.</returns>
    public static bool FindScale(float low, float high, int largest, out Half scale, out byte zero)
    {
        (low, high) = (Math.Min(0, low), Math.Max(0, high));
        scale = (Half)((high - low) / largest);
        zero = 0;
        if (!Half.IsFinite(scale)) // NaN comes out of Min and Max
            return false;
        // A scale that is 0 could not be divided by: such small values keep the smallest there is.
        if (scale == Half.Zero)
            scale = Half.Epsilon;
        zero = (byte)Math.Clamp(MathF.Round(-low / (float)scale), 0, largest);
        return true;
    }

    private static int IndexOfWorst(ReadOnlySpan<float> values)
    {
        for (int i = 0; i < values.Length; i++)
            if (!float.IsFinite(values[i]))
                return i;
        return TensorPrimitives.IndexOfMaxMagnitude(values);
    }
}
