using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// What every decode attention is put through. <paramref name="lengths"/> are those of sequences whose last token is decoded; 0 is a row that only fills up a
/// graph's batch. Where the cache is of another type than <paramref name="type"/>, the reference sees what it holds.
/// </summary>
internal sealed class DecodeScenarios(
    GpuBackend backend, ElementType type, AttentionShape shape, int blockSize, int[] lengths, int firstSeed = 0, ElementType? cache = null)
{
    private readonly ElementType _cache = cache ?? type;
    private readonly int _longest = Math.Max(lengths.Max(), 1);

    /// <summary>An allocated kernel for so many sequences, to dispose.</summary>
    public delegate (DecodeLaunch Launch, IDisposable Kernel) Factory(int maxSeqs, AttentionShape shape);

    /// <summary>Outputs within the tolerance of the reference, and the new keys and values in the cache.</summary>
    /// <returns>The outputs: [sequences, queryWidth].</returns>
    public float[] Check(Factory create, double absolute, double relative, string what)
    {
        float[] table = Table();
        AttentionChunk[] chunks = Chunks(), rotated = [.. chunks.Select(c => c with { Rows = RotateLast(c, table) })];
        return Launch(create, chunks, table, (batch, outputs) =>
        {
            (float[] keys, float[] values) = batch.Cached();
            double[] expected = AttentionBatch.Reference(shape, [.. rotated.Select((chunk, s) => WithNewest(chunk, s, batch, keys, values))]);
            for (int s = 0; s < lengths.Length; s++)
            {
                string sequence = $"{what}: sequence {s} of {lengths[s]} tokens";
                int at = s * shape.QueryWidth;
                TestTensors.AssertClose(expected.AsSpan(at, shape.QueryWidth), outputs.AsSpan(at, shape.QueryWidth), absolute, relative, sequence);
                for (int h = 0; h < shape.NumKvHeads && lengths[s] > 0; h++)
                {
                    int from = (lengths[s] - 1) * shape.QkvWidth + shape.QueryWidth + h * shape.HeadDim, to = batch.CacheRow(s, lengths[s] - 1, h);
                    double[] key = TestTensors.Exact(rotated[s].Rows.AsSpan(from, shape.HeadDim));
                    double[] value = TestTensors.Exact(rotated[s].Rows.AsSpan(from + shape.KvWidth, shape.HeadDim));
                    // What lies on the border of two codes may get either.
                    double Border(double[] head) => _cache == ElementType.U8 ? 1.001 * head.Max(Math.Abs) / KvCodes.Largest : 0;
                    TestTensors.AssertClose(
                        key, keys.AsSpan(to, shape.HeadDim), 1e-6 + Border(key), _cache == ElementType.F16 ? 1e-3 : 1e-6, $"{sequence}: the key of head {h}");
                    TestTensors.AssertClose(value, values.AsSpan(to, shape.HeadDim), Border(value), 0, $"{sequence}: the value of head {h}");
                }
            }
        });
    }

    /// <summary>The outputs alone.</summary>
    public float[] Run(Factory create) => Launch(create, Chunks(), Table(), (_, _) => { });

    /// <summary>Launches twice: the second result has the same bits, as the first launch left the workspace as it found it.</summary>
    private float[] Launch(Factory create, AttentionChunk[] chunks, float[] table, Action<AttentionBatch, float[]> check)
    {
        (DecodeLaunch launch, IDisposable kernel) = create(lengths.Length, shape);
        using (kernel)
        {
            using DeviceBuffer values = backend.Upload(table);
            using var batch = new AttentionBatch(backend, type, shape, blockSize, chunks, newKeysInCache: false, _cache);
            var rotary = new RotaryTable(values, _longest, shape.HeadDim);
            float[] first = batch.Run(launch, rotary);
            check(batch, first);
            TestTensors.AssertSameBits(first, batch.Run(launch, rotary), "launched twice");
            return first;
        }
    }

    private AttentionChunk[] Chunks() => [.. lengths.Select((n, s) => new AttentionChunk(Rows(firstSeed + s, Math.Max(n, 1)), n - 1, 1))];

    private float[] Rows(int seed, int length)
    {
        float[] rows = AttentionBatch.Rows(type, shape, seed, length);
        // What is in the cache already; the new token is the kernel's to round.
        int last = (length - 1) * shape.QkvWidth;
        return [.. AttentionBatch.RoundToCache(_cache, shape, rows[..last]), .. rows[last..]];
    }

    private float[] Table()
    {
        float[] angles = TestTensors.Random(3, _longest * shape.HeadDim / 2, 3), table = new float[_longest * shape.HeadDim];
        for (int i = 0; i < angles.Length; i++)
        {
            int half = shape.HeadDim / 2, at = i / half * shape.HeadDim + i % half;
            (table[at + half], table[at]) = MathF.SinCos(angles[i]);
        }
        return table;
    }

    /// <summary>The rows with the newest key and value as the cache has them: what lies on the border of two codes may get either.</summary>
    private AttentionChunk WithNewest(AttentionChunk chunk, int sequence, AttentionBatch batch, float[] keys, float[] values)
    {
        float[] rows = [.. chunk.Rows];
        for (int h = 0; h < shape.NumKvHeads && chunk.Prefix >= 0; h++)
        {
            int from = batch.CacheRow(sequence, chunk.Prefix, h), to = chunk.Prefix * shape.QkvWidth + shape.QueryWidth + h * shape.HeadDim;
            keys.AsSpan(from, shape.HeadDim).CopyTo(rows.AsSpan(to));
            values.AsSpan(from, shape.HeadDim).CopyTo(rows.AsSpan(to + shape.KvWidth));
        }
        return chunk with { Rows = rows };
    }

    /// <summary>The rows with the last token's queries and key rotated and rounded.</summary>
    private float[] RotateLast(AttentionChunk chunk, float[] table)
    {
        float[] rows = [.. chunk.Rows];
        for (int head = 0; head < shape.NumHeads + shape.NumKvHeads && chunk.Prefix >= 0; head++)
        {
            int at = chunk.Prefix * shape.QkvWidth + head * shape.HeadDim;
            double[] rotated = ReferenceKernels.Rotate(chunk.Rows.AsSpan(at, shape.HeadDim), table.AsSpan(chunk.Prefix * shape.HeadDim, shape.HeadDim));
            TestTensors.RoundTo(type, Array.ConvertAll(rotated, r => (float)r)).CopyTo(rows, at);
        }
        for (int at = chunk.Prefix * shape.QkvWidth + shape.QueryWidth; chunk.Prefix >= 0 && at < (chunk.Prefix + 1) * shape.QkvWidth; at += shape.HeadDim)
            AttentionBatch.RoundToCache(_cache, rows.AsSpan(at, shape.HeadDim));
        return rows;
    }
}
