using System.Globalization;
using System.Text;
using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>
/// Attention of a warpgroup's 64 queries over tiles of <see cref="TileKeys"/> keys, for heads of 64 or 128 elements. As in <see cref="Wgmma"/>, what
/// products write is in registers that PTX names, so that they overlap with the softmax: <c>s</c> (scores, then weights), <c>p</c> (weights as halves,
/// operand A of the second product), <c>o</c> (the output so far), and of each of a lane's two rows <c>m</c> (the largest score, scaled), <c>l</c> (the
/// lane's sum of weights) and <c>f</c> (what the output is to be multiplied by). The methods must be inlined into the kernel's entry.
/// </summary>
/// <remarks>
/// Lane 4g + t of warp w has rows 16w + g and 16w + g + 8. s(4j), s(4j + 1) are the first row's scores of keys 8j + 2t and the next, s(4j + 2), s(4j + 3) the
/// second row's; likewise o for elements. Operand A of 16 keys is four words of two halves: keys 2t and the next of the first row, of the second row, and
/// keys 8 + 2t and the next of both. So word i of all is scores 2i and 2i + 1.
/// </remarks>
internal static class WgmmaAttention
{
    /// <summary>Keys of a tile.</summary>
    public const int TileKeys = 128;

    /// <summary>Queries of a group's tile, of which each warpgroup has 64.</summary>
    public const int TileQueries = 128;

    /// <summary>Elements of a head in a row of shared memory; a matrix of more of them is cut into halves that lie one behind the other.</summary>
    public const int HalfElements = 64;

    /// <summary>Bytes of a row in shared memory.</summary>
    public const int RowBytes = HalfElements * 2;

    /// <summary>Bytes from one half of a tile to the next, of queries, keys and values alike.</summary>
    public const int HalfBytes = TileKeys * RowBytes;

    private const int InstructionK = 16;
    private const int NumScores = TileKeys / 2; // a lane's
    private const int NumWords = NumScores / 2;
    private const int KeyGroupBytes = 8 * RowBytes;

    // Operands with rows of 128 bytes, swizzled in units of eight rows. Of queries and keys a row's elements are k; units follow each other every 1024
    // bytes (bits 32-45, in units of 16 bytes). Of values rows are k: units of eight keys follow each other every 1024 bytes, and the next 64 elements lie
    // HalfBytes further on (bits 16-29).
    private const long Swizzle128 = 1L << 62;
    private const long RowsDescriptor = Swizzle128 | (long)(KeyGroupBytes >> 4) << 32 | 1L << 16;
    private const long ColumnsDescriptor = Swizzle128 | (long)(KeyGroupBytes >> 4) << 32 | (long)(HalfBytes >> 4) << 16;

    /// <summary>Declares the registers. Once, at the beginning of the kernel.</summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(DeclareText))]
    public static void Declare<THead>()
        where THead : struct, IConstant => throw Only();

    /// <summary>No key has been seen.</summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(ClearText))]
    public static void Clear<THead>()
        where THead : struct, IConstant => throw Only();

    /// <summary>Starts s = queries . keys: addresses of the warpgroup's rows and of the tile, as TMA with 128-byte swizzle writes them.</summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(MultiplyKeysText))]
    public static void MultiplyKeys<THead>(uint queries, uint keys)
        where THead : struct, IConstant => throw Only();

    /// <summary>Starts o += p . values.</summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(MultiplyValuesText))]
    public static void MultiplyValues<THead>(uint values)
        where THead : struct, IConstant => throw Only();

    /// <summary>
    /// Lowers scores to negative infinity where a key is not visible: <paramref name="distance"/> is from the lane's first key to its first row's query; from 0
    /// to below <paramref name="window"/> keys are visible.
    /// </summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(MaskText))]
    public static void Mask(int distance, int window) => throw Only();

    /// <summary>
    /// Turns scores into weights 2^(score * scale - m), and updates m, l and f. A tile of which a row sees nothing changes no bit of it; one that does not
    /// raise its maximum multiplies it by exactly 1.
    /// </summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(SoftmaxText))]
    public static void Softmax(float scale) => throw Only();

    /// <summary>Rounds the weights to halves in p and multiplies the output by f, when no product is under way.</summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(AdvanceText))]
    public static void Advance<THead>()
        where THead : struct, IConstant => throw Only();

    /// <summary>Divides the output by the rows' sums of weights.</summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(FinishText))]
    public static void Finish<THead>()
        where THead : struct, IConstant => throw Only();

    /// <summary>This lane's output of elements 0 to 63.</summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(TakeLowText))]
    public static WgmmaColumns64 TakeLow() => throw Only();

    /// <summary>This lane's output of elements 64 to 127.</summary>
    [IntrinsicImplementation, Ptx(typeof(WgmmaAttention), nameof(TakeHighText))]
    public static WgmmaColumns64 TakeHigh() => throw Only();

    private static string DeclareText<THead>()
        where THead : struct, IConstant => $".reg .f32 s<{NumScores}>, o<{THead.Value / 2}>, m<2>, l<2>, f<2>; .reg .b32 p<{NumWords}>;";

    private static string ClearText<THead>()
        where THead : struct, IConstant =>
        "mov.f32 m0, 0fFF800000; mov.f32 m1, 0fFF800000; mov.f32 l0, 0f00000000; mov.f32 l1, 0f00000000;\n"
        + Lines(THead.Value / 2, i => $"mov.f32 o{i}, 0f00000000;");

    private static string MultiplyKeysText<THead>()
        where THead : struct, IConstant
    {
        var text = new StringBuilder("{ .reg .b64 a, b; .reg .b32 t; .reg .pred zero, add; setp.ne.b32 zero, 0, 0; setp.ne.b32 add, 1, 0;\n");
        text.Append($"shr.u32 t, %0, 4; cvt.u64.u32 a, t; or.b64 a, a, {RowsDescriptor}; shr.u32 t, %1, 4; cvt.u64.u32 b, t; or.b64 b, b, {RowsDescriptor};\n")
            .Append("wgmma.fence.sync.aligned;\n");
        const int Step = InstructionK * 2, StepsInHalf = HalfElements / InstructionK;
        for (int k = 0; k < THead.Value / InstructionK; k++)
        {
            int advance = (k % StepsInHalf == 0 ? HalfBytes - (StepsInHalf - 1) * Step : Step) >> 4;
            if (k > 0)
                text.Append($"add.s64 a, a, {advance}; add.s64 b, b, {advance};\n");
            text.Append($"wgmma.mma_async.sync.aligned.m64n{TileKeys}k{InstructionK}.f32.f16.f16 {{{Names("s", 0, NumScores)}}}, a, b, {(k == 0 ? "zero" : "add")}, 1, 1, 0, 0;\n");
        }
        return text.Append("wgmma.commit_group.sync.aligned; }").ToString();
    }

    private static string MultiplyValuesText<THead>()
        where THead : struct, IConstant
    {
        var text = new StringBuilder("{ .reg .b64 b; .reg .b32 t; .reg .pred add; setp.ne.b32 add, 1, 0;\n");
        text.Append($"shr.u32 t, %0, 4; cvt.u64.u32 b, t; or.b64 b, b, {ColumnsDescriptor};\nwgmma.fence.sync.aligned;\n");
        string output = Names("o", 0, THead.Value / 2);
        for (int k = 0; k < TileKeys / InstructionK; k++)
        {
            if (k > 0)
                text.Append($"add.s64 b, b, {InstructionK * RowBytes >> 4};\n");
            text.Append($"wgmma.mma_async.sync.aligned.m64n{THead.Value}k{InstructionK}.f32.f16.f16 {{{output}}}, {{{Names("p", 4 * k, 4)}}}, b, add, 1, 1, 1;\n");
        }
        return text.Append("wgmma.commit_group.sync.aligned; }").ToString();
    }

    private static string MaskText()
    {
        string Line(int score, int offset) =>
            $"add.s32 d, %0, {offset}; setp.lt.u32 p, d, %1; selp.f32 s{score}, s{score}, 0fFF800000, p;\n";
        var text = new StringBuilder("{ .reg .pred p; .reg .b32 d;\n");
        for (int j = 0; j < TileKeys / 8; j++)
            text.Append(Line(4 * j, -8 * j)).Append(Line(4 * j + 1, -8 * j - 1)).Append(Line(4 * j + 2, 8 - 8 * j)).Append(Line(4 * j + 3, 7 - 8 * j));
        return text.Append('}').ToString();
    }

    private static string SoftmaxText()
    {
        var text = new StringBuilder("{ .reg .f32 a0, a1, b0, b1, n0, n1; .reg .b32 t; .reg .pred p;\n");
        // The largest score: two chains a row, then the row's four lanes.
        text.Append("max.f32 a0, s0, s4; max.f32 b0, s1, s5; max.f32 a1, s2, s6; max.f32 b1, s3, s7;\n");
        for (int j = 2; j < TileKeys / 8; j++)
            text.Append($"max.f32 a0, a0, s{4 * j}; max.f32 b0, b0, s{4 * j + 1}; max.f32 a1, a1, s{4 * j + 2}; max.f32 b1, b1, s{4 * j + 3};\n");
        for (int row = 0; row < 2; row++)
        {
            text.Append($"max.f32 a{row}, a{row}, b{row};\n").Append(Shuffle("max.f32", $"a{row}", $"b{row}"))
                .Append($"mul.f32 a{row}, a{row}, %0; max.f32 a{row}, a{row}, m{row};\n") // the new maximum
                .Append($"setp.eq.f32 p, a{row}, 0fFF800000; selp.f32 n{row}, 0f00000000, a{row}, p;\n") // nothing seen yet: weights of 0, not NaN
                .Append($"sub.f32 b{row}, m{row}, n{row}; ex2.approx.ftz.f32 f{row}, b{row}; mov.f32 m{row}, a{row}; neg.f32 n{row}, n{row};\n");
        }
        text.Append(Lines(NumScores, i => $"fma.rn.f32 s{i}, s{i}, %0, n{i / 2 % 2}; ex2.approx.ftz.f32 s{i}, s{i};")).Append('\n');
        text.Append("mov.f32 a0, s0; mov.f32 b0, s1; mov.f32 a1, s2; mov.f32 b1, s3;\n");
        for (int j = 1; j < TileKeys / 8; j++)
            text.Append($"add.f32 a0, a0, s{4 * j}; add.f32 b0, b0, s{4 * j + 1}; add.f32 a1, a1, s{4 * j + 2}; add.f32 b1, b1, s{4 * j + 3};\n");
        for (int row = 0; row < 2; row++)
            text.Append($"add.f32 a{row}, a{row}, b{row}; fma.rn.f32 l{row}, l{row}, f{row}, a{row};\n");
        // A sum of weights is never negative. But the branch needs all of them: without it, ptxas waits for the products first and makes them after that.
        return text.Append("setp.lt.f32 p, l0, 0f00000000; setp.lt.or.f32 p, l1, 0f00000000, p; @p trap; }").ToString();
    }

    private static string AdvanceText<THead>()
        where THead : struct, IConstant =>
        Lines(NumWords, i => $"cvt.rn.f16x2.f32 p{i}, s{2 * i + 1}, s{2 * i};") + "\n" + Scale<THead>("f");

    private static string FinishText<THead>()
        where THead : struct, IConstant =>
        "{ .reg .f32 i<2>; .reg .b32 t;\n" + Shuffle("add.f32", "l0", "i0") + Shuffle("add.f32", "l1", "i1")
        + "rcp.rn.f32 i0, l0; rcp.rn.f32 i1, l1;\n" + Scale<THead>("i") + " }";

    private static string TakeLowText() => Take(0);

    private static string TakeHighText() => Take(1);

    private static string Take(int part)
    {
        const int PartSums = HalfElements / 2;
        return Lines(PartSums, i => $"mov.f32 ${i}, o{part * PartSums + i};");
    }

    /// <summary>Rows of the output times their factors.</summary>
    private static string Scale<THead>(string factors)
        where THead : struct, IConstant => Lines(THead.Value / 2, i => $"mul.f32 o{i}, o{i}, {factors}{i / 2 % 2};");

    /// <summary>Combines a value over the four lanes of a row; needs a register t.</summary>
    private static string Shuffle(string operation, string value, string other)
    {
        string Step(int mask) =>
            $"mov.b32 t, {value}; shfl.sync.bfly.b32 t, t, {mask}, 31, 0xffffffff; mov.b32 {other}, t; {operation} {value}, {value}, {other};\n";
        return Step(1) + Step(2);
    }

    private static string Names(string name, int first, int count) =>
        string.Join(',', Enumerable.Range(first, count).Select(i => name + i.ToString(CultureInfo.InvariantCulture)));

    private static string Lines(int count, Func<int, string> line) => string.Join('\n', Enumerable.Range(0, count).Select(line));

    private static NotSupportedException Only() => new("a PTX instruction runs on CUDA devices only");
}
