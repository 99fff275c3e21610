using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Tests.Reference;

/// <summary>Makes inputs, moves them, and compares results.</summary>
internal static class TestTensors
{
    /// <summary>Uniform in [-amplitude, amplitude], the same for the same seed.</summary>
    public static float[] Random(int seed, int length, float amplitude = 1)
    {
        var random = new Random(seed);
        var values = new float[length];
        for (int i = 0; i < length; i++)
            values[i] = (random.NextSingle() * 2 - 1) * amplitude;
        return values;
    }

    /// <summary>Multiples of 1/128 in [-1, 1]: exact in F16 and BF16.</summary>
    public static float[] RandomExact(int seed, int length)
    {
        var random = new Random(seed);
        var values = new float[length];
        for (int i = 0; i < length; i++)
            values[i] = random.Next(-128, 129) / 128f;
        return values;
    }

    /// <summary>What remains of values when they are stored as <paramref name="type"/>.</summary>
    public static float[] RoundTo(ElementType type, float[] values)
        => type == ElementType.F16 ? Decode(type, Encode(type, values)) : values;

    /// <summary>The bytes of values in a checkpoint. BF16 truncates, so give it values that are exact.</summary>
    public static byte[] Encode(ElementType type, ReadOnlySpan<float> values)
    {
        var bytes = new byte[values.Length * type.SizeInBytes()];
        switch (type)
        {
            case ElementType.F32:
                MemoryMarshal.AsBytes(values).CopyTo(bytes);
                break;
            case ElementType.F16:
                TensorPrimitives.ConvertToHalf(values, MemoryMarshal.Cast<byte, Half>(bytes.AsSpan()));
                break;
            case ElementType.BF16:
                Span<ushort> upper = MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan());
                for (int i = 0; i < values.Length; i++)
                    upper[i] = (ushort)(BitConverter.SingleToUInt32Bits(values[i]) >> 16);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type));
        }
        return bytes;
    }

    /// <summary>The values of F32 or F16 in a device's memory.</summary>
    public static float[] Decode(ElementType type, byte[] bytes)
    {
        if (type == ElementType.F32)
            return MemoryMarshal.Cast<byte, float>(bytes).ToArray();
        var values = new float[bytes.Length / sizeof(ushort)];
        TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(bytes), values);
        return values;
    }

    /// <summary>Values in double precision, in which all of them are exact.</summary>
    public static double[] Exact(ReadOnlySpan<float> values)
    {
        var exact = new double[values.Length];
        TensorPrimitives.ConvertTruncating(values, exact);
        return exact;
    }

    /// <summary>A new device buffer with these floats.</summary>
    public static DeviceBuffer Upload(this Backend backend, float[] values)
    {
        DeviceBuffer buffer = backend.Allocate(ElementType.F32, values.Length);
        backend.Upload(values, buffer);
        return buffer;
    }

    /// <summary>A new device buffer with these integers.</summary>
    public static DeviceBuffer Upload(this Backend backend, int[] values)
    {
        DeviceBuffer buffer = backend.Allocate(ElementType.I32, values.Length);
        backend.Upload(values, buffer);
        return buffer;
    }

    /// <summary>A new device buffer with these floats, as F32 or F16.</summary>
    public static DeviceBuffer Upload(this Backend backend, ElementType type, ReadOnlySpan<float> values)
    {
        DeviceBuffer buffer = backend.Allocate(type, values.Length);
        backend.UploadAs(values, buffer);
        return buffer;
    }

    /// <summary>Fills a buffer of F32 or F16.</summary>
    public static void UploadAs(this Backend backend, ReadOnlySpan<float> values, DeviceBuffer buffer)
    {
        if (buffer.Type == ElementType.F32)
            backend.Upload(values, buffer);
        else
            backend.Upload(MemoryMarshal.Cast<byte, Half>(Encode(buffer.Type, values)), buffer);
    }

    /// <summary>All of a buffer of F32 or F16.</summary>
    public static float[] Download(this Backend backend, DeviceBuffer buffer)
    {
        var bytes = new byte[buffer.Length * buffer.Type.SizeInBytes()];
        if (buffer.Type == ElementType.F32)
            backend.Download(buffer, MemoryMarshal.Cast<byte, float>(bytes.AsSpan()));
        else
            backend.Download(buffer, MemoryMarshal.Cast<byte, Half>(bytes.AsSpan()));
        return Decode(buffer.Type, bytes);
    }

    /// <summary>All of a buffer of U8.</summary>
    public static byte[] DownloadBytes(this Backend backend, DeviceBuffer buffer)
    {
        var bytes = new byte[buffer.Length];
        backend.Download(buffer, bytes);
        return bytes;
    }

    /// <summary>A weight with these rows: w [outFeatures, inFeatures].</summary>
    public static LinearWeight CreateLinear(this Backend backend, float[] w, float[]? bias, int outFeatures, int inFeatures, ElementType storage)
    {
        LinearWeight weight = backend.CreateLinear(outFeatures, inFeatures, storage, bias is not null);
        weight.LoadRows(0, outFeatures, ElementType.F32, Encode(ElementType.F32, w));
        if (bias is not null)
            weight.LoadBias(0, bias);
        return weight;
    }

    /// <summary>Fails unless every element is within absolute + relative * |expected|.</summary>
    public static void AssertClose(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double absolute, double relative, string what)
    {
        Assert.AreEqual(expected.Length, actual.Length, what);
        for (int i = 0; i < expected.Length; i++)
            if (!(Math.Abs(actual[i] - expected[i]) <= absolute + relative * Math.Abs(expected[i])))
                Assert.Fail($"{what}: element {i} of {expected.Length} is {actual[i]:R}, expected {expected[i]:R}");
    }

    /// <summary>Fails unless every element has the same bits.</summary>
    public static void AssertSameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        Assert.AreEqual(expected.Length, actual.Length, what);
        if (MemoryMarshal.Cast<float, int>(expected).SequenceEqual(MemoryMarshal.Cast<float, int>(actual)))
            return;
        for (int i = 0; i < expected.Length; i++)
            if (BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(actual[i]))
                Assert.Fail($"{what}: element {i} of {expected.Length} is {actual[i]:R}, expected exactly {expected[i]:R}");
    }
}
