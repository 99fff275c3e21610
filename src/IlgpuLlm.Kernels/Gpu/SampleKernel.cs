using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Launches <see cref="SampleBody{TFormat}"/> and the small kernels around it.</summary>
internal sealed class SampleKernel(GpuDevice device)
{
    private const int GroupSize = GroupReduce.MaxLanes;
    private const int ResolveGroupSize = 128;

    private static readonly GpuKernel Aligned = GpuKernel.Of("sample.vector", typeof(SampleBody<AlignedLogits>), GroupSize);
    private static readonly GpuKernel Unaligned = GpuKernel.Of("sample.scalar", typeof(SampleBody<UnalignedLogits>), GroupSize);
    private static readonly GpuKernel CountKernel = GpuKernel.Of("sample.count-tokens", typeof(Counting), GroupSize, isHot: false);
    private static readonly GpuKernel ResolveKernel = GpuKernel.Of("sample.resolve-tokens", typeof(Resolving), ResolveGroupSize);

    private readonly Launcher _aligned = device.Load<Launcher>(Aligned);
    private readonly CountLauncher _count = device.Load<CountLauncher>(CountKernel);
    private readonly ResolveLauncher _resolve = device.Load<ResolveLauncher>(ResolveKernel);
    private Launcher? _unaligned; // compiled on demand: few vocabularies need it

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, ArrayView<float> logits, ArrayView<int> rows, ArrayView<int> banned, ArrayView<int> counts,
        ArrayView<int> sampled, int vocabSize);

    private delegate void CountLauncher(
        AcceleratorStream stream, KernelConfig config, ArrayView<int> counts, long row, ArrayView<int> tokenIds, int numPromptTokens, int numTokens, int vocabSize);

    private delegate void ResolveLauncher(AcceleratorStream stream, KernelConfig config, ArrayView<int> tokenIds, ArrayView<int> sampled, int numTokens);

    public static IReadOnlyList<GpuKernel> Variants => [Aligned, Unaligned, CountKernel, ResolveKernel];

    public void Launch(GpuBuffer logits, SamplingBatch batch, GpuBuffer sampled)
    {
        ShapeChecks.Count(batch.NumRows, nameof(batch.NumRows));
        if (batch.VocabSize <= 0)
            throw new ArgumentException($"the vocabulary's size is {batch.VocabSize}, must be positive", nameof(batch));
        ShapeChecks.Buffer(logits, ElementType.F32, batch.NumRows, batch.VocabSize, nameof(logits));
        ShapeChecks.Buffer(batch.Rows, ElementType.I32, batch.NumRows, SamplingRow.NumWords, nameof(batch.Rows));
        ShapeChecks.Buffer(batch.Banned, ElementType.I32, batch.NumRows, SamplingRow.MaxBanned, nameof(batch.Banned));
        ShapeChecks.Buffer(batch.TokenCounts, ElementType.I32, 0, 0, nameof(batch.TokenCounts));
        ShapeChecks.Buffer(sampled, ElementType.I32, 1, Backend.SampledWidth, nameof(sampled));
        if (batch.NumRows == 0)
            return;
        var values = logits.View<float>();
        bool isAligned = Chunks.IsAligned(values, batch.VocabSize);
        var launch = isAligned ? _aligned : _unaligned ??= device.Load<Launcher>(Unaligned);
        launch(
            device.Stream, new KernelConfig(batch.NumRows, device.GroupSize(GroupSize)), values, device.Own(batch.Rows).View<int>(),
            device.Own(batch.Banned).View<int>(), device.Own(batch.TokenCounts).View<int>(), sampled.View<int>(), batch.VocabSize);
    }

    public void LaunchCount(GpuBuffer counts, int vocabSize, int row, GpuBuffer tokenIds, int numPromptTokens, int numTokens)
    {
        ShapeChecks.Count(row, nameof(row));
        ShapeChecks.Count(vocabSize, nameof(vocabSize));
        ShapeChecks.Buffer(counts, ElementType.I32, row + 1L, vocabSize, nameof(counts));
        ShapeChecks.Buffer(tokenIds, ElementType.I32, numTokens, 1, nameof(tokenIds));
        _count(
            device.Stream, new KernelConfig(1, device.GroupSize(GroupSize)), counts.View<int>(), row, tokenIds.View<int>(), numPromptTokens, numTokens,
            vocabSize);
    }

    public void LaunchResolve(GpuBuffer tokenIds, GpuBuffer sampled, int numTokens)
    {
        ShapeChecks.Count(numTokens, nameof(numTokens));
        ShapeChecks.Buffer(tokenIds, ElementType.I32, numTokens, 1, nameof(tokenIds));
        ShapeChecks.Buffer(sampled, ElementType.I32, 1, Backend.SampledWidth, nameof(sampled));
        if (numTokens == 0)
            return;
        int lanes = device.GroupSize(ResolveGroupSize);
        _resolve(device.Stream, new KernelConfig((numTokens + lanes - 1) / lanes, lanes), tokenIds.View<int>(), sampled.View<int>(), numTokens);
    }

    internal static class Counting
    {
        internal static void Body(ArrayView<int> counts, long row, ArrayView<int> tokenIds, int numPromptTokens, int numTokens, int vocabSize)
        {
            long start = row * vocabSize;
            for (int id = Group.IdxX; id < vocabSize; id += Group.DimX)
                counts[start + id] = 0;
            GroupOps.Barrier();
            for (int i = Group.IdxX; i < numPromptTokens; i += Group.DimX)
                counts[start + tokenIds[i]] = 1;
            GroupOps.Barrier();
            for (int i = numPromptTokens + Group.IdxX; i < numTokens; i += Group.DimX)
                Atomic.Add(ref counts[start + tokenIds[i]], 2);
        }
    }

    internal static class Resolving
    {
        internal static void Body(ArrayView<int> tokenIds, ArrayView<int> sampled, int numTokens)
        {
            int i = Grid.IdxX * Group.DimX + Group.IdxX;
            if (i < numTokens && tokenIds[i] < 0)
                tokenIds[i] = IntrinsicMath.Max(sampled[Backend.SampledWidth * (long)(-1 - tokenIds[i])], 0);
        }
    }
}
