using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Stores sums as an epilogue says, where row and column are inside.</summary>
internal static class HopperStore<TEpilogue>
    where TEpilogue : struct, IHopperEpilogue
{
    /// <summary>Neighbours that <see cref="StoreRun"/> takes.</summary>
    public static int RunLength => TEpilogue.IsGated ? 16 : 8;

    /// <summary>
    /// The sums of a product whose rows are tokens, as wgmma leaves them: lane 4g + t of a warp has rows <paramref name="row"/> = ... + g and row + 8, of
    /// each eight of the 64 columns from <paramref name="column"/> on the two from 2t on. All lanes of a warp come here.
    /// </summary>
    public static void StoreWide(HopperOutput output, int row, int column, WgmmaColumns64 sums)
    {
        StoreWide32(output, row, column, AddBias(output, column, sums.Low), out Four<UInt2> low);
        StoreWide32(output, row, column + 32, AddBias(output, column + 32, sums.High), out Four<UInt2> high);
        if (TEpilogue.IsGated)
            StoreTransposed(output, row, column / 2, new() { A = low.A, B = low.B, C = high.A, D = high.B });
    }

    /// <summary>What the sums of eight columns of a row are added to, where they are; zeros outside.</summary>
    public static Float8 LoadOld(HopperOutput output, int row, int column)
    {
        if (!TEpilogue.Accumulates || row >= output.NumRows || column >= output.NumColumns)
            return default;
        long at = output.Values + ((long)row * output.NumColumns + column) * sizeof(float);
        return new() { Low = PtxIntrinsics.LoadGlobal4(at), High = PtxIntrinsics.LoadGlobal4(at + 4 * sizeof(float)) };
    }

    /// <summary>The sums of eight or sixteen columns of a row, and what <see cref="LoadOld"/> returned for it.</summary>
    public static void StoreRun(HopperOutput output, int row, int column, Float8 first, Float8 second, Float8 old)
    {
        if (column >= output.NumColumns)
            return;
        first = AddBias(output, column, first);
        if (TEpilogue.IsGated)
        {
            second = AddBias(output, column + 8, second);
            StoreHalves(output, row, column / 2, Pack(Gate(first.Low, second.Low), Gate(first.High, second.High)));
        }
        else if (TEpilogue.IsHalves)
        {
            StoreHalves(output, row, column, Pack(first.Low, first.High));
        }
        else
        {
            long at = output.Values + ((long)row * output.NumColumns + column) * sizeof(float);
            PtxIntrinsics.StoreGlobal4(at, TEpilogue.Accumulates ? Add(old.Low, first.Low) : first.Low);
            PtxIntrinsics.StoreGlobal4(at + 4 * sizeof(float), TEpilogue.Accumulates ? Add(old.High, first.High) : first.High);
        }
    }

    /// <summary>Stores 32 columns, or, where gate and up become halves, returns them: A and B, rows g in X and g + 8 in Y.</summary>
    private static void StoreWide32(HopperOutput output, int row, int column, Four<Float4> sums, out Four<UInt2> gated)
    {
        gated = default;
        if (TEpilogue.IsGated)
        {
            gated.A = PackRows(Gate(sums.A, sums.B));
            gated.B = PackRows(Gate(sums.C, sums.D));
        }
        else if (TEpilogue.IsHalves)
        {
            StoreTransposed(output, row, column, new() { A = PackRows(sums.A), B = PackRows(sums.B), C = PackRows(sums.C), D = PackRows(sums.D) });
        }
        else
        {
            int pair = column + LanePair();
            StorePairs(output, row, pair, sums.A);
            StorePairs(output, row, pair + 8, sums.B);
            StorePairs(output, row, pair + 16, sums.C);
            StorePairs(output, row, pair + 24, sums.D);
        }
    }

    /// <summary>Two floats of each of two rows: four lanes fill a sector of 32 bytes.</summary>
    private static void StorePairs(HopperOutput output, int row, int column, Float4 sums)
    {
        if (column >= output.NumColumns)
            return;
        long at = output.Values + ((long)row * output.NumColumns + column) * sizeof(float);
        if (row < output.NumRows)
            StorePair(at, new() { X = sums.X, Y = sums.Y });
        if (row + 8 < output.NumRows)
            StorePair(at + 8L * output.NumColumns * sizeof(float), new() { X = sums.Z, Y = sums.W });
    }

    private static void StorePair(long at, Float2 sums)
    {
        if (TEpilogue.Accumulates)
        {
            Float2 old = PtxIntrinsics.LoadGlobal2(at);
            sums = new() { X = old.X + sums.X, Y = old.Y + sums.Y };
        }
        PtxIntrinsics.StoreGlobal2(at, sums);
    }

    /// <summary>Stores 32 columns of halves in runs of 16 bytes: lane 4g + t gets from its three neighbours what it lacks of columns 8t to 8t + 7.</summary>
    private static void StoreTransposed(HopperOutput output, int row, int column, Four<UInt2> words)
    {
        int run = column + 4 * LanePair();
        UInt4 upper = Transpose(new() { X = words.A.X, Y = words.B.X, Z = words.C.X, W = words.D.X });
        UInt4 lower = Transpose(new() { X = words.A.Y, Y = words.B.Y, Z = words.C.Y, W = words.D.Y });
        if (row < output.NumRows)
            StoreHalves(output, row, run, upper);
        if (row + 8 < output.NumRows)
            StoreHalves(output, row + 8, run, lower);
    }

    private static void StoreHalves(HopperOutput output, int row, int column, UInt4 halves)
    {
        int width = TEpilogue.IsGated ? output.NumColumns / 2 : output.NumColumns;
        if (column < width)
            PtxIntrinsics.StoreGlobal4(output.Values + ((long)row * width + column) * 2, halves);
    }

    /// <summary>Of four lanes' four words each, gives lane t the t-th words of all four.</summary>
    private static UInt4 Transpose(UInt4 words)
    {
        bool isOdd = (Group.IdxX & 1) != 0, isUpper = (Group.IdxX & 2) != 0;
        // Exchanges X of odd lanes with Y of even ones, and Z with W; then the same two lanes apart.
        uint first = Warp.ShuffleXor(isOdd ? words.X : words.Y, 1), second = Warp.ShuffleXor(isOdd ? words.Z : words.W, 1);
        words = new()
        {
            X = isOdd ? first : words.X,
            Y = isOdd ? words.Y : first,
            Z = isOdd ? second : words.Z,
            W = isOdd ? words.W : second,
        };
        first = Warp.ShuffleXor(isUpper ? words.X : words.Z, 2);
        second = Warp.ShuffleXor(isUpper ? words.Y : words.W, 2);
        return new()
        {
            X = isUpper ? first : words.X,
            Y = isUpper ? second : words.Y,
            Z = isUpper ? words.Z : first,
            W = isUpper ? words.W : second,
        };
    }

    /// <summary>Adds the bias, if there is one, to a lane's sums of 32 columns.</summary>
    internal static Four<Float4> AddBias(HopperOutput output, int column, Four<Float4> sums)
    {
        if (output.Bias == 0)
            return sums;
        int pair = column + LanePair();
        return new()
        {
            A = AddBias(output, pair, sums.A),
            B = AddBias(output, pair + 8, sums.B),
            C = AddBias(output, pair + 16, sums.C),
            D = AddBias(output, pair + 24, sums.D),
        };
    }

    private static Float4 AddBias(HopperOutput output, int column, Float4 sums)
    {
        if (column >= output.NumColumns)
            return sums;
        Float2 bias = PtxIntrinsics.LoadGlobal2(output.Bias + (long)column * sizeof(float));
        return new() { X = sums.X + bias.X, Y = sums.Y + bias.Y, Z = sums.Z + bias.X, W = sums.W + bias.Y };
    }

    private static Float8 AddBias(HopperOutput output, int column, Float8 sums)
    {
        if (output.Bias == 0)
            return sums;
        long at = output.Bias + (long)column * sizeof(float);
        return new() { Low = Add(sums.Low, PtxIntrinsics.LoadGlobal4(at)), High = Add(sums.High, PtxIntrinsics.LoadGlobal4(at + 4 * sizeof(float))) };
    }

    private static Float4 Add(Float4 a, Float4 b) => new() { X = a.X + b.X, Y = a.Y + b.Y, Z = a.Z + b.Z, W = a.W + b.W };

    /// <summary>silu(gate) * up.</summary>
    internal static Float4 Gate(Float4 gate, Float4 up) => new()
    {
        X = Silu(gate.X) * up.X,
        Y = Silu(gate.Y) * up.Y,
        Z = Silu(gate.Z) * up.Z,
        W = Silu(gate.W) * up.W,
    };

    /// <summary>x / (1 + exp(-x)) within a relative error of 6e-8 |x| + 5e-7, a thousandth of what rounding to a half adds.</summary>
    private static float Silu(float x) => x * PtxIntrinsics.Reciprocal(1f + PtxIntrinsics.Exp2(x * -1.44269504f));

    /// <summary>Rounds two rows' pairs of sums.</summary>
    internal static UInt2 PackRows(Float4 sums) => new() { X = PtxIntrinsics.PackHalves(sums.X, sums.Y), Y = PtxIntrinsics.PackHalves(sums.Z, sums.W) };

    private static UInt4 Pack(Float4 low, Float4 high) => new()
    {
        X = PtxIntrinsics.PackHalves(low.X, low.Y),
        Y = PtxIntrinsics.PackHalves(low.Z, low.W),
        Z = PtxIntrinsics.PackHalves(high.X, high.Y),
        W = PtxIntrinsics.PackHalves(high.Z, high.W),
    };

    /// <summary>2t of lane 4g + t: the first of the two columns of eight that it has.</summary>
    private static int LanePair() => (Group.IdxX & 3) * 2;
}
