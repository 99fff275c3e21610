using System.Text;
using ILGPU.IR.Intrinsics;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>The shape of a warpgroup's product, [64, 16] x [16, <see cref="Columns"/>].</summary>
internal interface IWgmmaShape
{
    /// <summary>8 to 256, a multiple of 8.</summary>
    static abstract int Columns { get; }

    /// <summary>Whether operands are floats, of which 19 bits count, otherwise halves.</summary>
    static abstract bool IsTf32 { get; }
}

/// <summary>Two floats.</summary>
internal struct Float2
{
    public float X, Y;
}

/// <summary>A lane's share of 64 rows and 64 columns of sums: eight columns each.</summary>
internal struct WgmmaColumns64
{
    public Four<Float4> Low, High;
}

/// <summary>
/// Products of a warpgroup (wgmma) of operands in shared memory, of which the first may be in registers. ptxas overlaps them only if the sums stay in the same registers from the first to the
/// last one, which no value of C# does: so the sums are registers that PTX names, <c>acc0, acc1...</c>, one set a kernel, and these methods are all that
/// touches them. They must be inlined into the kernel's entry.
/// </summary>
/// <remarks>
/// Of the sums [64, Columns], warp w of the warpgroup holds rows 16w to 16w + 15; its lane 4g + t holds of columns 8j to 8j + 7 four sums, acc(4j)...:
/// row g of columns 2t and 2t + 1, and row g + 8 of the same columns.
/// </remarks>
internal static class Wgmma
{
    /// <summary>Elements of k that <see cref="MultiplyAdd"/> adds: 128 bytes.</summary>
    public const int TileK = 64;

    private const int LaneSums = 4; // of eight columns

    // Of an operand with rows of 128 bytes, swizzled in units of eight rows that follow each other every 1024 bytes; the address is in its lowest 14 bits.
    private const string Descriptor = "0x4000004000010000";

    /// <summary>Declares the sums. Once, at the beginning of the kernel.</summary>
    [IntrinsicImplementation, Ptx(typeof(Wgmma), nameof(DeclareText))]
    public static void Declare<TShape>()
        where TShape : struct, IWgmmaShape => throw Only();

    /// <summary>Sets the sums to zero.</summary>
    [IntrinsicImplementation, Ptx(typeof(Wgmma), nameof(ZeroText))]
    public static void Zero<TShape>()
        where TShape : struct, IWgmmaShape => throw Only();

    /// <summary>
    /// Starts sums += a b^T: <paramref name="a"/> [64, TileK] halves and <paramref name="b"/> [Columns, TileK] halves in shared memory, as TMA with
    /// 128-byte swizzle writes them, aligned to 1024 bytes. Or half as many floats.
    /// </summary>
    [IntrinsicImplementation, Ptx(typeof(Wgmma), nameof(MultiplyAddText))]
    public static void MultiplyAdd<TShape>(uint a, uint b)
        where TShape : struct, IWgmmaShape => throw Only();

    /// <summary>
    /// The same for a [64, TileK] in registers, 16 elements of k an operand: rows g and g + 8 of the lane's warp are X and Y, elements 2t and 2t + 1, and Z
    /// and W, elements 2t + 8 and 2t + 9. ptxas overlaps nothing with it that makes such registers: <see cref="WaitAll"/> follows.
    /// </summary>
    [IntrinsicImplementation, Ptx(typeof(Wgmma), nameof(MultiplyAddRowsText))]
    public static void MultiplyAddRows<TShape>(Four<UInt4> rows, uint b)
        where TShape : struct, IWgmmaShape => throw Only();

    /// <summary>Two of these at once; the second matrix of b follows the first one.</summary>
    [IntrinsicImplementation, Ptx(typeof(Wgmma), nameof(MultiplyAddRowsTwiceText))]
    public static void MultiplyAddRows<TShape>(Four<UInt4> first, Four<UInt4> second, uint b)
        where TShape : struct, IWgmmaShape => throw Only();

    /// <summary>Waits for all products but the last one started.</summary>
    [IntrinsicImplementation, Ptx("wgmma.wait_group.sync.aligned 1;")]
    public static void WaitPrevious() => throw Only();

    /// <summary>Waits for all products.</summary>
    [IntrinsicImplementation, Ptx("wgmma.wait_group.sync.aligned 0;")]
    public static void WaitAll() => throw Only();

    /// <summary>This lane's sums of columns 64 <paramref name="part"/> and following, after <see cref="WaitAll"/>.</summary>
    [IntrinsicImplementation, Ptx(typeof(Wgmma), nameof(TakeText))]
    public static WgmmaColumns64 Take<TShape>(int part)
        where TShape : struct, IWgmmaShape => throw Only();

    /// <summary>
    /// Writes this lane's sums transposed to shared memory, after <see cref="WaitAll"/>: column c goes to the line of <paramref name="pitch"/> bytes c
    /// lines on. <paramref name="shared"/> is the place of the lane's first sum, row g and column 2t.
    /// </summary>
    [IntrinsicImplementation, Ptx(typeof(Wgmma), nameof(StoreTransposedText))]
    public static void StoreTransposed<TShape>(uint shared, uint pitch)
        where TShape : struct, IWgmmaShape => throw Only();

    private static int Sums<TShape>()
        where TShape : struct, IWgmmaShape => TShape.Columns / 8 * LaneSums;

    private static string DeclareText<TShape>()
        where TShape : struct, IWgmmaShape => $".reg .f32 acc<{Sums<TShape>()}>;";

    private static string ZeroText<TShape>()
        where TShape : struct, IWgmmaShape => Lines(Sums<TShape>(), i => $"mov.f32 acc{i}, 0f00000000;");

    private static string MultiplyAddText<TShape>()
        where TShape : struct, IWgmmaShape
    {
        const int InstructionK = 16;
        string sums = string.Join(',', Enumerable.Range(0, Sums<TShape>()).Select(i => $"acc{i}"));
        var text = new StringBuilder();
        text.Append("{ .reg .b64 a, b; .reg .b32 t; .reg .pred add; setp.ne.b32 add, 1, 0; ")
            .Append($"shr.u32 t, %0, 4; cvt.u64.u32 a, t; or.b64 a, a, {Descriptor}; shr.u32 t, %1, 4; cvt.u64.u32 b, t; or.b64 b, b, {Descriptor};\n")
            .Append("wgmma.fence.sync.aligned;\n");
        for (int k = 0; k < TileK; k += InstructionK)
        {
            if (k > 0)
                text.Append($"add.s64 a, a, {InstructionK * 2 >> 4}; add.s64 b, b, {InstructionK * 2 >> 4};\n");
            // A float is as long as two halves. Only halves may lie transposed, which they do not.
            string form = TShape.IsTf32 ? $"k{InstructionK / 2}.f32.tf32.tf32" : $"k{InstructionK}.f32.f16.f16", transposed = TShape.IsTf32 ? "" : ", 0, 0";
            text.Append($"wgmma.mma_async.sync.aligned.m64n{TShape.Columns}{form} {{{sums}}}, a, b, add, 1, 1{transposed};\n");
        }
        return text.Append("wgmma.commit_group.sync.aligned; }").ToString();
    }

    private static string MultiplyAddRowsText<TShape>()
        where TShape : struct, IWgmmaShape => RowsText<TShape>(1);

    private static string MultiplyAddRowsTwiceText<TShape>()
        where TShape : struct, IWgmmaShape => RowsText<TShape>(2);

    private static string RowsText<TShape>(int count)
        where TShape : struct, IWgmmaShape
    {
        const int InstructionK = 16, RowBytes = TileK * 2, Step = InstructionK * 2;
        string sums = string.Join(',', Enumerable.Range(0, Sums<TShape>()).Select(i => $"acc{i}"));
        var text = new StringBuilder();
        text.Append("{ .reg .b64 b; .reg .b32 t; .reg .pred add; setp.ne.b32 add, 1, 0; ")
            .Append($"shr.u32 t, %{16 * count}, 4; cvt.u64.u32 b, t; or.b64 b, b, {Descriptor};\nwgmma.fence.sync.aligned;\n");
        for (int k = 0; k < count * TileK; k += InstructionK)
        {
            if (k > 0)
                text.Append($"add.s64 b, b, {(k % TileK == 0 ? TShape.Columns * RowBytes - RowBytes + Step : Step) >> 4};\n");
            string rows = string.Join(',', Enumerable.Range(k / 4, 4).Select(i => $"%{i}"));
            text.Append($"wgmma.mma_async.sync.aligned.m64n{TShape.Columns}k{InstructionK}.f32.f16.f16 {{{sums}}}, {{{rows}}}, b, add, 1, 1, 0;\n");
        }
        return text.Append("wgmma.commit_group.sync.aligned; }").ToString();
    }

    private static string TakeText<TShape>()
        where TShape : struct, IWgmmaShape
    {
        const int PartSums = 64 / 8 * LaneSums;
        int numParts = Sums<TShape>() / PartSums;
        var text = new StringBuilder("{ .reg .pred other;\n");
        for (int part = 0; part < numParts; part++)
        {
            if (part < numParts - 1)
                text.Append($"setp.ne.s32 other, %0, {part}; @other bra NOT{part};\n");
            text.Append(Lines(PartSums, i => $"mov.f32 ${i}, acc{part * PartSums + i};")).Append('\n');
            if (part < numParts - 1)
                text.Append($"bra DONE;\nNOT{part}:\n");
        }
        return text.Append("DONE: }").ToString();
    }

    private static string StoreTransposedText<TShape>()
        where TShape : struct, IWgmmaShape =>
        "{ .reg .b32 even, odd, step; mov.b32 even, %0; add.s32 odd, even, %1; shl.b32 step, %1, 3;\n"
        + Lines(
            TShape.Columns / 8,
            j => $"st.shared.f32 [even], acc{4 * j}; st.shared.f32 [odd], acc{4 * j + 1}; "
                + $"st.shared.f32 [even+32], acc{4 * j + 2}; st.shared.f32 [odd+32], acc{4 * j + 3}; add.s32 even, even, step; add.s32 odd, odd, step;")
        + " }";

    private static string Lines(int count, Func<int, string> line) => string.Join('\n', Enumerable.Range(0, count).Select(line));

    private static NotSupportedException Only() => new("a PTX instruction runs on CUDA devices only");
}
