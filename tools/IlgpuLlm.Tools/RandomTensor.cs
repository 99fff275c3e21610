using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Tools;

/// <summary>Writes the elements of a tensor to a stream, a piece at a time.</summary>
internal sealed class RandomTensor(ElementType type)
{
    private const int PieceLength = 1 << 18;

    // Uniform with Transformers' initializer_range, 0.02, as the standard deviation.
    private const float Amplitude = 0.02f * 1.7320508f;

    private readonly float[] _values = new float[PieceLength];
    private readonly ushort[] _halves = new ushort[PieceLength];

    /// <summary>Writes random elements that depend on the seed alone, or ones for a norm.</summary>
    public void Write(Stream stream, TensorSpec tensor, ulong seed)
    {
        ulong state = seed;
        for (long left = tensor.Length; left > 0; left -= PieceLength)
        {
            var piece = _values.AsSpan(0, (int)Math.Min(left, PieceLength));
            if (tensor.IsNorm)
                piece.Fill(1);
            else
                FillRandom(piece, ref state);
            stream.Write(Encode(piece));
        }
    }

    private ReadOnlySpan<byte> Encode(Span<float> values)
    {
        var halves = _halves.AsSpan(0, values.Length);
        switch (type)
        {
            case ElementType.F32:
                return MemoryMarshal.AsBytes(values);
            case ElementType.F16:
                TensorPrimitives.ConvertToHalf(values, MemoryMarshal.Cast<ushort, Half>(halves));
                break;
            default: // A bfloat16 is the upper half of a float; random values need no rounding.
                for (int i = 0; i < values.Length; i++)
                    halves[i] = (ushort)(BitConverter.SingleToUInt32Bits(values[i]) >> 16);
                break;
        }
        return MemoryMarshal.AsBytes(halves);
    }

    /// <summary>SplitMix64; the upper 24 bits become a float.</summary>
    private static void FillRandom(Span<float> values, ref ulong state)
    {
        for (int i = 0; i < values.Length; i++)
        {
            state += 0x9E3779B97F4A7C15;
            ulong bits = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
            bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
            values[i] = ((bits >> 40) * (2f / (1 << 24)) - 1) * Amplitude;
        }
    }
}
