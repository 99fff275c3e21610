using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// What every prefill attention is put through: against the double-precision reference, which sees the same numbers, or what 8-bit codes stand for.
/// </summary>
internal sealed class FlashScenarios(
    GpuBackend backend, FlashLaunch launch, AttentionShape shape, int blockSize, ElementType cache = ElementType.F16, ElementType type = ElementType.F16)
{
    private static readonly int[] Lengths = [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 300];

    /// <summary>Whole prompts, chunks with a prefix, decoding tokens, filling.</summary>
    public void CheckRagged() => Check(
    [
        .. Lengths.Select((n, i) => new AttentionChunk(Rows(i, n), 0, n)),
        .. Lengths.Select((n, i) => new AttentionChunk(Rows(50 + i, n + 40), n, 1 + 3 * i)),
        new(Rows(90, 1), -1, 1),
        new(Rows(91, 700), 699, 1),
        new(Rows(92, 700), 500, 200),
    ]);

    /// <summary>A sequence in chunks, beside another one: the same bits as at once and alone.</summary>
    public void CheckChunks()
    {
        const int Length = 333;
        float[] rows = Rows(1, Length), whole = Run([new(rows, 0, Length)]);
        var other = new AttentionChunk(Rows(2, 170), 30, 140);
        int[] edges = [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 192, 255, 256, 257, Length - 1];
        foreach (int token in edges)
            CheckChunk(token, 1);
        foreach (int chunk in new[] { 16, 50, 64, 100, 128, 200 })
        {
            for (int from = 0; from < Length; from += chunk)
                CheckChunk(from, Math.Min(chunk, Length - from));
        }

        void CheckChunk(int from, int count) => TestTensors.AssertSameBits(
            whole.AsSpan(from * shape.QueryWidth, count * shape.QueryWidth), Run([other, new(rows, from, count)]).AsSpan(other.Count * shape.QueryWidth),
            $"tokens {from}..{from + count - 1}");
    }

    /// <summary>More sequences than a group has lanes.</summary>
    public void CheckManySequences() =>
        Check([.. Enumerable.Range(0, 130).Select(i => new AttentionChunk(Rows(i, 2 + i), i % 3 == 0 ? 0 : i, i % 3 == 0 ? 2 + i : 1))]);

    /// <summary>Whole prompts of these lengths.</summary>
    public void CheckLengths(params int[] lengths) => Check([.. lengths.Select((n, i) => new AttentionChunk(Rows(i, n), 0, n))]);

    /// <summary>A batch that is small enough for emulated instructions.</summary>
    public void CheckFew() => Check([new(Rows(1, 1), -1, 1), new(Rows(2, 110), 63, 37)]);

    private float[] Rows(int seed, int length) => AttentionBatch.RoundToCache(cache, shape, AttentionBatch.Rows(type, shape, seed, length));

    private float[] Run(AttentionChunk[] chunks)
    {
        using var batch = new AttentionBatch(backend, type, shape, blockSize, chunks, newKeysInCache: true, cache);
        return batch.Run(launch);
    }

    private void Check(AttentionChunk[] chunks)
    {
        float[] actual = Run(chunks);
        double[] expected = AttentionBatch.Reference(shape, chunks);
        // Of halves, weights and results are rounded to 11 bits.
        var (absolute, relative) = type == ElementType.F32 ? (2e-5, 1e-5) : (2e-3, 2e-3);
        int row = 0;
        foreach (var chunk in chunks)
        {
            int at = row * shape.QueryWidth, count = chunk.Count * shape.QueryWidth;
            TestTensors.AssertClose(
                expected.AsSpan(at, count), actual.AsSpan(at, count), absolute, relative, $"{chunk.Count} tokens from {chunk.Prefix} on, {shape.QueryWidth} elements each");
            row += chunk.Count;
        }
    }
}
