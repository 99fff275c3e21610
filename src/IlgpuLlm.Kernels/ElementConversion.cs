using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels;

/// <summary>Checkpoint elements, little endian, to floats and halves.</summary>
public static class ElementConversion
{
    /// <summary>Widens F32, F16 or BF16 elements exactly.</summary>
    public static void ToFloats(ReadOnlySpan<byte> source, ElementType sourceType, Span<float> destination)
    {
        switch (sourceType)
        {
            case ElementType.F32:
                source.CopyTo(MemoryMarshal.AsBytes(destination));
                break;
            case ElementType.F16:
                TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(source), destination);
                break;
            default:
                // A bfloat16 is the upper half of a float.
                Span<uint> bits = MemoryMarshal.Cast<float, uint>(destination);
                TensorPrimitives.ConvertTruncating(MemoryMarshal.Cast<byte, ushort>(source), bits);
                TensorPrimitives.ShiftLeft(bits, 16, bits);
                break;
        }
    }

    /// <summary>Narrows to nearest even; what lies beyond 65504 becomes infinite. <paramref name="floats"/> is scratch of the same length.</summary>
    public static void ToHalves(ReadOnlySpan<byte> source, ElementType sourceType, Span<float> floats, Span<Half> destination)
    {
        if (sourceType == ElementType.F16)
        {
            source.CopyTo(MemoryMarshal.AsBytes(destination));
            return;
        }
        ToFloats(source, sourceType, floats);
        TensorPrimitives.ConvertToHalf(floats, destination);
    }
}
