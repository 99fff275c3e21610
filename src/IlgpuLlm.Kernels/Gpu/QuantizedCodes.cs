using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>How kernels read one width of codes.</summary>
/// <typeparam name="TRaw">What a lane holds of a block, as it is loaded.</typeparam>
internal interface IQuantizedCodes<TRaw>
    where TRaw : unmanaged
{
    /// <summary>Bits of a code.</summary>
    static abstract int Bits { get; }

    /// <summary>Loads what a lane holds of a block from its first 16 bytes; zeros where <paramref name="isValid"/> is 0.</summary>
    static abstract TRaw Load(long address, int isValid);

    /// <summary>
    /// The row operands of the block's four m16n8k16 instructions: (code - zero) * scale as halves, both rounded as halves are. Of each, X and Z are
    /// of the lane's first row, Y and W of its second one.
    /// </summary>
    static abstract Four<UInt4> Widen(TRaw raw, UInt2 groups);
}

/// <summary>Codes of four bits. A word's code c or 16 c, put into the mantissa of the half 1024, is that half 1024 + c: conversion takes no instruction.</summary>
internal readonly struct Int4Codes : IQuantizedCodes<UInt4>
{
    private const uint Sixteenth = 0x2C002C00;

    public static int Bits => 4;

    public static UInt4 Load(long address, int isValid) => PtxIntrinsics.LoadOnce16OrZero(address, isValid);

    public static Four<UInt4> Widen(UInt4 raw, UInt2 groups)
    {
        QuantizedRow first = QuantizedRow.Of(groups.X), second = QuantizedRow.Of(groups.Y);
        return new() { A = Step(raw.X, first, second), B = Step(raw.Y, first, second), C = Step(raw.Z, first, second), D = Step(raw.W, first, second) };
    }

    private static UInt4 Step(uint word, QuantizedRow first, QuantizedRow second) => new()
    {
        X = Low(word, first),
        Y = Low(word >> 8, second),
        Z = High(word, first),
        W = High(word >> 8, second),
    };

    private static uint Low(uint word, QuantizedRow row) =>
        PtxIntrinsics.MultiplyHalves(PtxIntrinsics.SubtractHalves((word & 0x000F000F) | QuantizedRow.Base, row.Zero), row.Scale);

    private static uint High(uint word, QuantizedRow row) =>
        PtxIntrinsics.MultiplyHalves(PtxIntrinsics.MultiplyAddHalves((word & 0x00F000F0) | QuantizedRow.Base, Sixteenth, row.HighZero), row.Scale);
}

/// <summary>Codes of eight bits.</summary>
internal readonly struct Int8Codes : IQuantizedCodes<Int8Block>
{
    public static int Bits => 8;

    public static Int8Block Load(long address, int isValid) => new()
    {
        Low = PtxIntrinsics.LoadOnce16OrZero(address, isValid),
        High = PtxIntrinsics.LoadOnce16OrZero(address + QuantizedLayout.PlaneBytes, isValid),
    };

    public static Four<UInt4> Widen(Int8Block raw, UInt2 groups)
    {
        QuantizedRow first = QuantizedRow.Of(groups.X), second = QuantizedRow.Of(groups.Y);
        return new()
        {
            A = Step(raw.Low.X, raw.Low.Y, first, second),
            B = Step(raw.Low.Z, raw.Low.W, first, second),
            C = Step(raw.High.X, raw.High.Y, first, second),
            D = Step(raw.High.Z, raw.High.W, first, second),
        };
    }

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
