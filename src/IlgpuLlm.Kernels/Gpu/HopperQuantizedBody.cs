using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Products of up to 128 rows of halves with a quantized weight on Hopper's tensor cores: as the narrow tiles of
/// <see cref="HopperLinearBody{TTile, TEpilogue}"/>, but weights come as codes, a panel of 64 features a consumer, and become operand A in registers: each is
/// widened once for all rows. A stage is two blocks of 64 inputs. A sum is one chain over k, or as many as groups share it, which are added in order.
/// </summary>
internal static class HopperQuantizedBody<TTile, TCodes, TRaw, TEpilogue>
    where TTile : struct, IHopperTile
    where TCodes : struct, IQuantizedCodes<TRaw>
    where TRaw : unmanaged
    where TEpilogue : struct, IHopperEpilogue
{
    private const int StageBlocks = 2;
    private const int StageInputs = StageBlocks * QuantizedLayout.BlockInputs;
    private const int MaxStageGroups = 4; // groups of 32 inputs
    private const int PanelGroupBytes = QuantizedLayout.PanelRows * sizeof(uint);
    private const int RowBytes = QuantizedLayout.BlockInputs * 2;
    private const int AlignmentBytes = 1024; // of activations, whose swizzle has that period
    private const int BarrierBytes = 8;
    private const int WarpgroupSize = 128;

    /// <summary>Lanes of a group.</summary>
    public static int GroupSize => NumConsumerLanes + 32;

    /// <summary>Features of a group.</summary>
    public static int Features => TTile.Consumers * QuantizedLayout.PanelRows;

    /// <summary>Dynamic shared memory of a group: stages, two barriers for each, and what alignment may take.</summary>
    public static int SharedBytes => AlignmentBytes + DataBytes + NumStages * 2 * BarrierBytes;

    private static int NumConsumerLanes => WarpgroupSize * TTile.Consumers;

    private static int BlockBytes => QuantizedLayout.BlockInputs * QuantizedLayout.PanelRows * TCodes.Bits / 8;

    private static int InputBytes => TTile.Columns * RowBytes; // of a block

    private static int CodesOffset => StageBlocks * InputBytes;

    private static int GroupsOffset => CodesOffset + TTile.Consumers * StageBlocks * BlockBytes;

    private static int StageBytes => GroupsOffset + TTile.Consumers * MaxStageGroups * PanelGroupBytes;

    private static int NumStages => (TTile.SharedBytes - AlignmentBytes) / (StageBytes + 2 * BarrierBytes);

    private static int DataBytes => Math.Max(NumStages * StageBytes, HopperNarrowStore<TTile, TEpilogue>.StagedBytes);

    internal static void Body(long codes, long groups, long activationMap, HopperOutput output, QuantizedStream sizes)
    {
        Wgmma.Declare<TTile>();
        var shared = SharedMemory.GetDynamic<UInt4>();
        uint memory = (PtxIntrinsics.SharedAddress(ref shared[0]) + (AlignmentBytes - 1)) & ~(uint)(AlignmentBytes - 1);
        uint full = memory + (uint)DataBytes, empty = full + (uint)(NumStages * BarrierBytes);
        if (Group.IdxX == 0)
        {
            for (int stage = 0; stage < NumStages; stage++)
            {
                PtxIntrinsics.InitBarrier(full + (uint)(stage * BarrierBytes), 1);
                PtxIntrinsics.InitBarrier(empty + (uint)(stage * BarrierBytes), NumConsumerLanes / 32);
            }
            PtxIntrinsics.FenceBarriers();
        }
        else if (Group.IdxX == NumConsumerLanes)
        {
            PtxIntrinsics.PrefetchMap(activationMap);
        }
        Group.Barrier();
        int numSteps = (sizes.NumBlocks + StageBlocks - 1) / StageBlocks, tile = TTile.ClusterSize == 1 ? Grid.IdxX : PtxIntrinsics.ClusterIndex();
        int firstStep = TTile.ClusterSize == 1 ? 0 : PtxIntrinsics.Here(numSteps * PtxIntrinsics.ClusterRank() / TTile.ClusterSize);
        int endStep = TTile.ClusterSize == 1 ? numSteps : PtxIntrinsics.Here(numSteps * (PtxIntrinsics.ClusterRank() + 1) / TTile.ClusterSize);
        if (Group.IdxX < NumConsumerLanes)
        {
            var run = HopperNarrowStore<TTile, TEpilogue>.Begin(output, PtxIntrinsics.Here(tile * Features));
            Multiply(memory, full, empty, sizes, firstStep, endStep);
            HopperNarrowStore<TTile, TEpilogue>.Finish(memory, output, run);
        }
        else
        {
            if (Group.IdxX == NumConsumerLanes)
                Produce(memory, full, empty, codes, groups, activationMap, sizes, tile * TTile.Consumers, firstStep, endStep);
            if (TTile.ClusterSize > 1)
                PtxIntrinsics.ClusterBarrier(); // as the consumers do between writing their sums and reading those of others
        }
        if (TTile.ClusterSize > 1)
            PtxIntrinsics.MeetCluster(); // no group leaves while another one reads its memory
    }

    private static void Produce(
        uint memory, uint full, uint empty, long codes, long groups, long activationMap, QuantizedStream sizes, int panel, int firstStep, int endStep)
    {
        PtxIntrinsics.LaunchDependents();
        // The weights of the first stages are there before the previous kernel has ended.
        int numAhead = IntrinsicMath.Min(endStep - firstStep, NumStages);
        for (int i = 0; i < numAhead; i++)
            LoadWeights(memory + (uint)(i * StageBytes), full + (uint)(i * BarrierBytes), codes, groups, sizes, panel, firstStep + i);
        PtxIntrinsics.WaitForDependencies();
        for (int i = 0; i < numAhead; i++)
            LoadInputs(memory + (uint)(i * StageBytes), full + (uint)(i * BarrierBytes), activationMap, sizes, firstStep + i);
        int stage = numAhead == NumStages ? 0 : numAhead, parity = 0;
        for (int step = firstStep + numAhead; step < endStep; step++)
        {
            uint barrier = full + (uint)(stage * BarrierBytes), target = memory + (uint)(stage * StageBytes);
            PtxIntrinsics.WaitBarrier(empty + (uint)(stage * BarrierBytes), parity);
            LoadWeights(target, barrier, codes, groups, sizes, panel, step);
            LoadInputs(target, barrier, activationMap, sizes, step);
            stage++;
            if (stage == NumStages)
            {
                stage = 0;
                parity ^= 1;
            }
        }
    }

    /// <summary>Asks for a stage's codes and groups of the panels that exist, and tells the barrier what comes in all.</summary>
    private static void LoadWeights(uint stage, uint barrier, long codes, long groups, QuantizedStream sizes, int panel, int step)
    {
        int blocks = BlocksOf(step, sizes), panels = IntrinsicMath.Min(TTile.Consumers, sizes.NumPanels - panel);
        int firstGroup = (step * StageInputs) >> sizes.GroupShift;
        int numGroups = ((step * StageInputs + blocks * QuantizedLayout.BlockInputs - 1) >> sizes.GroupShift) - firstGroup + 1;
        PtxIntrinsics.ExpectBytes(barrier, blocks * InputBytes + panels * (blocks * BlockBytes + numGroups * PanelGroupBytes));
        for (int i = 0; i < panels; i++)
        {
            long block = (long)(panel + i) * sizes.NumBlocks + step * StageBlocks, group = (long)(panel + i) * sizes.NumGroups + firstGroup;
            PtxIntrinsics.CopyBytes(stage + (uint)(CodesOffset + i * (StageBlocks * BlockBytes)), codes + block * BlockBytes, blocks * BlockBytes, barrier);
            PtxIntrinsics.CopyBytes(
                stage + (uint)(GroupsOffset + i * (MaxStageGroups * PanelGroupBytes)), groups + group * PanelGroupBytes, numGroups * PanelGroupBytes, barrier);
        }
    }

    private static void LoadInputs(uint stage, uint barrier, long activationMap, QuantizedStream sizes, int step)
    {
        for (int block = 0; block < BlocksOf(step, sizes); block++)
            PtxIntrinsics.CopyBox(stage + (uint)(block * InputBytes), activationMap, (step * StageBlocks + block) * QuantizedLayout.BlockInputs, 0, barrier);
    }

    private static int BlocksOf(int step, QuantizedStream sizes) => IntrinsicMath.Min(StageBlocks, sizes.NumBlocks - step * StageBlocks);

    /// <summary>Multiplies stages as they come: while one warpgroup waits for its products, others widen codes.</summary>
    private static void Multiply(uint memory, uint full, uint empty, QuantizedStream sizes, int firstStep, int endStep)
    {
        int lane = Group.IdxX & 31, consumer = Group.IdxX / WarpgroupSize, strip = (Group.IdxX >> 5) & (QuantizedLayout.Strips - 1);
        uint codes = memory + (uint)(CodesOffset + consumer * (StageBlocks * BlockBytes) + strip * (BlockBytes / QuantizedLayout.Strips) + lane * 16);
        uint groups = memory + (uint)(GroupsOffset + consumer * (MaxStageGroups * PanelGroupBytes) + (strip * QuantizedLayout.StripRows + (lane >> 2) * 2) * sizeof(uint));
        Wgmma.Zero<TTile>();
        int stage = 0, parity = 0;
        for (int step = firstStep; step < endStep; step++)
        {
            PtxIntrinsics.WaitBarrier(full + (uint)(stage * BarrierBytes), parity);
            uint at = (uint)(stage * StageBytes);
            var first = Widen(codes + at, groups + at, step, 0, sizes);
            if (step * StageBlocks + 1 < sizes.NumBlocks)
                Wgmma.MultiplyAddRows<TTile>(first, Widen(codes + at + (uint)BlockBytes, groups + at, step, 1, sizes), memory + at);
            else
                Wgmma.MultiplyAddRows<TTile>(first, memory + at);
            Wgmma.WaitAll();
            Release(empty + (uint)(stage * BarrierBytes));
            stage++;
            if (stage == NumStages)
            {
                stage = 0;
                parity ^= 1;
            }
        }
    }

    /// <summary>A block of a stage as operands.</summary>
    private static Four<UInt4> Widen(uint codes, uint groups, int step, int block, QuantizedStream sizes)
    {
        int input = step * StageInputs + block * QuantizedLayout.BlockInputs, firstGroup = (step * StageInputs) >> sizes.GroupShift;
        int lowerGroup = (input >> sizes.GroupShift) - firstGroup, upperGroup = ((input + QuantizedLayout.BlockInputs / 2) >> sizes.GroupShift) - firstGroup;
        TRaw raw = TCodes.Take(codes);
        Two<UInt4> lower = TCodes.WidenLower(raw, QuantizedRowPair.Of(PtxIntrinsics.LoadShared8(groups + (uint)(lowerGroup * PanelGroupBytes))));
        Two<UInt4> upper = TCodes.WidenUpper(raw, QuantizedRowPair.Of(PtxIntrinsics.LoadShared8(groups + (uint)(upperGroup * PanelGroupBytes))));
        return new() { A = lower.A, B = lower.B, C = upper.A, D = upper.B };
    }

    /// <summary>A warp has done with a stage.</summary>
    private static void Release(uint barrier)
    {
        if ((Group.IdxX & 31) == 0)
            PtxIntrinsics.ArriveBarrier(barrier);
    }
}
