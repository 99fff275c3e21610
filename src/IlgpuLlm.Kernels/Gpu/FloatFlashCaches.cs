using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>What a lane brings of a key or value.</summary>
internal static class FloatFlashUnits
{
    /// <summary>Elements of a unit. 32 bits count those of 128 GB of floats.</summary>
    public const int Elements = 8;
}

/// <summary>
/// How <see cref="FloatFlashBody{TCache, TRaw, THead}"/> brings rows of keys and values, or parts of them, to shared memory, as floats: as many lanes as a row
/// has units bring it.
/// </summary>
/// <typeparam name="TRaw">What a lane holds between request and arrival.</typeparam>
internal interface IFloatFlashCache<TRaw>
    where TRaw : unmanaged
{
    /// <summary>The name of the type in kernels' names.</summary>
    static abstract string Name { get; }

    /// <summary>Where a lane writes.</summary>
    /// <param name="target">Where the row goes, in shared memory.</param>
    /// <param name="lane">Which of the row's lanes it is.</param>
    static abstract uint Target(uint target, int lane);

    /// <summary>Requests this lane's elements; of <see cref="DecodeRows.None"/> nothing is read, and what comes are zeros.</summary>
    /// <param name="target">Where they go: <see cref="Target"/>.</param>
    /// <param name="source">The address of all keys or values.</param>
    /// <param name="unit">The row's first unit.</param>
    /// <param name="lane">Which of the row's lanes this is.</param>
    /// <param name="numUnits">The row's units and lanes.</param>
    /// <param name="scales">The address of the scales.</param>
    /// <param name="row">The place of the row's scale.</param>
    static abstract TRaw Request(uint target, long source, uint unit, int lane, int numUnits, long scales, uint row);

    /// <summary>Writes them, unless they come on their own.</summary>
    static abstract void Put(uint target, TRaw raw);
}

/// <summary>Floats: copied without registers, half a row at a time, so that neighbours read neighbouring chunks of 16 bytes.</summary>
internal readonly struct FloatFlashF32 : IFloatFlashCache<int>
{
    public static string Name => "f32";

    public static uint Target(uint target, int lane) => target + (uint)lane * 16;

    public static int Request(uint target, long source, uint unit, int lane, int numUnits, long scales, uint row)
    {
        int bytes = row != DecodeRows.None ? 16 : 0;
        long from = source + (long)unit * (FloatFlashUnits.Elements * sizeof(float)) + lane * 16;
        PtxIntrinsics.CopyAsync16OrZero(target, from, bytes);
        PtxIntrinsics.CopyAsync16OrZero(target + (uint)numUnits * 16, from + numUnits * 16, bytes);
        return 0;
    }

    public static void Put(uint target, int raw)
    {
    }
}

/// <summary>Halves.</summary>
internal readonly struct FloatFlashF16 : IFloatFlashCache<UInt4>
{
    public static string Name => "f32xf16";

    public static uint Target(uint target, int lane) => target + (uint)lane * (FloatFlashUnits.Elements * sizeof(float));

    public static UInt4 Request(uint target, long source, uint unit, int lane, int numUnits, long scales, uint row) =>
        PtxIntrinsics.LoadOnce16OrZero(source + (long)(unit + (uint)lane) * (FloatFlashUnits.Elements * sizeof(ushort)), row != DecodeRows.None ? 1 : 0);

    public static void Put(uint target, UInt4 raw) => Put(target, Chunks.WidenHalves(raw));

    /// <summary>Writes eight floats.</summary>
    public static void Put(uint target, Float8 values)
    {
        PtxIntrinsics.StoreShared4(target, values.Low);
        PtxIntrinsics.StoreShared4(target + 16, values.High);
    }
}

/// <summary>Codes: in shared memory are what they stand for.</summary>
internal readonly struct FloatFlashU8 : IFloatFlashCache<FloatFlashCodes>
{
    public static string Name => "f32xu8";

    public static uint Target(uint target, int lane) => FloatFlashF16.Target(target, lane);

    public static FloatFlashCodes Request(uint target, long source, uint unit, int lane, int numUnits, long scales, uint row)
    {
        int isValid = row != DecodeRows.None ? 1 : 0;
        return new()
        {
            Codes = PtxIntrinsics.LoadOnce8OrZero(source + (long)(unit + (uint)lane) * FloatFlashUnits.Elements, isValid),
            Scale = PtxIntrinsics.LoadFloatOrZero(scales + (long)row * sizeof(float), isValid),
        };
    }

    public static void Put(uint target, FloatFlashCodes raw) => FloatFlashF16.Put(target, Chunks.Scale(Chunks.WidenCodes(raw.Codes), raw.Scale));
}

/// <summary>Eight codes and their row's scale.</summary>
internal struct FloatFlashCodes
{
    public UInt2 Codes;
    public float Scale;
}
