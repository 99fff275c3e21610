using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>How kernels read one width of codes.</summary>
/// <typeparam name="TRaw">What a lane holds of a block, as it is loaded.</typeparam>
internal interface IQuantizedCodes<TRaw>
    where TRaw : unmanaged
{
    /// <summary>Bits of a code.</summary>
    static abstract int Bits { get; }

    /// <summary>Loads what a lane holds of a strip's block from its first 16 bytes.</summary>
    static abstract TRaw Load(long address);

    /// <summary>Takes the same from a strip's block in shared memory.</summary>
    static abstract TRaw Take(uint shared);

    /// <summary>
    /// The row operands of the first two of the block's four m16n8k16 instructions: (code - zero) * scale as halves, both rounded as halves are. Of each, X
    /// and Z are of the lane's first row, Y and W of its second one.
    /// </summary>
    static abstract Two<UInt4> WidenLower(TRaw raw, QuantizedRowPair groups);

    /// <summary>Those of the other two.</summary>
    static abstract Two<UInt4> WidenUpper(TRaw raw, QuantizedRowPair groups);
}

/// <summary>Codes of four bits. A word's code c or 16 c, put into the mantissa of the half 1024, is that half 1024 + c: conversion takes no instruction.</summary>
internal readonly struct Int4Codes : IQuantizedCodes<UInt4>
{
    private const uint Sixteenth = 0x2C002C00;

    public static int Bits => 4;

    public static UInt4 Load(long address) => PtxIntrinsics.LoadOnce16(address);

    public static UInt4 Take(uint shared) => PtxIntrinsics.LoadShared16(shared);

    public static Two<UInt4> WidenLower(UInt4 raw, QuantizedRowPair groups) => Widen(raw.X, raw.Y, groups);

    public static Two<UInt4> WidenUpper(UInt4 raw, QuantizedRowPair groups) => Widen(raw.Z, raw.W, groups);

    private static Two<UInt4> Widen(uint word, uint next, QuantizedRowPair groups) =>
        new() { A = Step(word, groups.First, groups.Second), B = Step(next, groups.First, groups.Second) };

    private static UInt4 Step(uint word, QuantizedRow first, QuantizedRow second) => new()
    {
        X = Low(word, first),
        Y = Low(word >> 8, second),
        Z = High(word, first),
        W = High(word >> 8, second),
    };

    private static uint Low(uint word, QuantizedRow row) =>
        PtxIntrinsics.MultiplyHalves(PtxIntrinsics.SubtractHalves(PtxIntrinsics.MaskAndSet(word, 0x000F000F, QuantizedRow.Base), row.Zero), row.Scale);

    private static uint High(uint word, QuantizedRow row) =>
        PtxIntrinsics.MultiplyHalves(PtxIntrinsics.MultiplyAddHalves(PtxIntrinsics.MaskAndSet(word, 0x00F000F0, QuantizedRow.Base), Sixteenth, row.HighZero), row.Scale);
}

/// <summary>Codes of eight bits.</summary>
internal readonly struct Int8Codes : IQuantizedCodes<Int8Block>
{
    public static int Bits => 8;

    public static Int8Block Load(long address) =>
        new() { Low = PtxIntrinsics.LoadOnce16(address), High = PtxIntrinsics.LoadOnce16(address + QuantizedLayout.PlaneBytes) };

    public static Int8Block Take(uint shared) =>
        new() { Low = PtxIntrinsics.LoadShared16(shared), High = PtxIntrinsics.LoadShared16(shared + QuantizedLayout.PlaneBytes) };

    public static Two<UInt4> WidenLower(Int8Block raw, QuantizedRowPair groups) => Widen(raw.Low, groups);

    public static Two<UInt4> WidenUpper(Int8Block raw, QuantizedRowPair groups) => Widen(raw.High, groups);

    private static Two<UInt4> Widen(UInt4 plane, QuantizedRowPair groups) =>
        new() { A = Step(plane.X, plane.Y, groups.First, groups.Second), B = Step(plane.Z, plane.W, groups.First, groups.Second) };

    private static UInt4 Step(uint low, uint high, QuantizedRow first, QuantizedRow second) => new()
    {
        X = Value(PtxIntrinsics.LowBytes(low), first),
        Y = Value(PtxIntrinsics.HighBytes(low), second),
        Z = Value(PtxIntrinsics.LowBytes(high), first),
        W = Value(PtxIntrinsics.HighBytes(high), second),
    };

    private static uint Value(uint codes, QuantizedRow row) => PtxIntrinsics.MultiplyHalves(PtxIntrinsics.SubtractHalves(codes, row.Zero), row.Scale);
}

/// <summary>What a lane holds of a block of codes of eight bits: instructions 0 and 1, 2 and 3.</summary>
internal struct Int8Block
{
    public UInt4 Low, High;
}

/// <summary>The groups of a lane's two rows.</summary>
internal struct QuantizedRowPair
{
    public QuantizedRow First, Second;

    public static QuantizedRowPair Of(UInt2 words) => new() { First = QuantizedRow.Of(words.X), Second = QuantizedRow.Of(words.Y) };
}

/// <summary>The group of a row, each value twice in a word.</summary>
internal struct QuantizedRow
{
    /// <summary>The half 1024, twice.</summary>
    public const uint Base = 0x64006400;

    private const uint HighBase = 0x63806380; // 960, twice

    public uint Scale;

    /// <summary>1024 + zero point.</summary>
    public uint Zero;

    /// <summary>-(64 + zero point).</summary>
    public uint HighZero;

    public static QuantizedRow Of(uint word)
    {
        uint zero = PtxIntrinsics.HighHalves(word, word);
        return new() { Scale = PtxIntrinsics.LowHalves(word, word), Zero = zero, HighZero = PtxIntrinsics.SubtractHalves(HighBase, zero) };
    }
}
