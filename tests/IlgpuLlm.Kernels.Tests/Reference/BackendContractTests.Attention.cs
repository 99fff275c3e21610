namespace IlgpuLlm.Kernels.Tests.Reference;

public abstract partial class BackendContractTests
{
    private int[] SequenceLengths => SmallInputs ? [1, 9, 19] : [1, 5, 16, 17, 33, 70, 131];

    /// <summary>A ragged batch: prefill chunks and decodes mixed.</summary>
    private int[][] RaggedSteps => SmallInputs
        ? [[0, 4, 7], [1, 1, 9], [0, 3, 1]]
        : [[0, 5, 3, 7, 16, 1, 64], [1, 0, 1, 9, 1, 30, 1], [0, 0, 11, 1, 15, 1, 40], [0, 0, 1, 0, 1, 37, 25]];

    [TestMethod]
    [DataRow(1, 1, 8, 0)]
    [DataRow(4, 2, 20, 0)]
    [DataRow(3, 3, 24, 7)]
    [DataRow(6, 2, 64, 0)]
    [DataRow(8, 1, 64, 16)]
    [DataRow(4, 4, 80, 0)]
    [DataRow(8, 2, 128, 40)]
    [DataRow(5, 5, 6, 1)]
    [DataRow(14, 2, 96, 0)]
    public void PagedAttention_RaggedBatches_MatchesReference(int numHeads, int numKvHeads, int headDim, int window)
    {
        var shape = new AttentionShape(numHeads, numKvHeads, headDim, window, 1 / MathF.Sqrt(headDim));
        float[] rotary = RotaryValues(SequenceLengths[^1], headDim);
        float[][] sequences = [.. SequenceLengths.Select((length, i) => TestTensors.Random(i, length * shape.QkvWidth, 2))];
        float[][] outputs = Attend(shape, 16, ElementType.F32, sequences, rotary, RaggedSteps);
        float[][] halfOutputs = Attend(shape, 16, ElementType.F16, sequences, rotary, RaggedSteps);
        for (int s = 0; s < sequences.Length; s++)
        {
            double[] expected = ReferenceKernels.Attention(shape, sequences[s], rotary, [.. Enumerable.Range(0, SequenceLengths[s])]);
            TestTensors.AssertClose(expected, outputs[s], Tolerance, 0, $"sequence of {SequenceLengths[s]}");
            // Values up to 2 and scores up to about 4 rounded to 11 bits.
            TestTensors.AssertClose(expected, halfOutputs[s], 1e-2, 0, $"sequence of {SequenceLengths[s]}, F16 cache");
        }
    }

    [TestMethod]
    [DataRow(8, 1, 64, 0)]
    [DataRow(4, 4, 80, 0)]
    [DataRow(14, 2, 96, 0)]
    [DataRow(8, 2, 128, 40)]
    [DataRow(3, 3, 6, 7)]
    public void PagedAttention_CodesOf8Bits_MatchesReferenceOnSameCodes(int numHeads, int numKvHeads, int headDim, int window)
    {
        var shape = new AttentionShape(numHeads, numKvHeads, headDim, window, 1 / MathF.Sqrt(headDim));
        int[] lengths = SmallInputs ? [1, 9, 19] : [1, 15, 16, 17, 255];
        int[][] steps = SmallInputs ? RaggedSteps : [[0, 5, 16, 16, 200], [1, 9, 0, 1, 30]];
        float[] rotary = RotaryValues(lengths[^1], headDim);
        float[][] sequences = [.. lengths.Select((length, i) => TestTensors.Random(i, length * shape.QkvWidth, 2))];
        using Backend backend = CreateBackend();
        var run = new AttentionRun { Shape = shape, BlockSize = 16, CacheType = ElementType.U8, Sequences = sequences, RotaryTable = rotary, Steps = steps };
        float[][] outputs = run.Execute(backend);
        for (int s = 0; s < sequences.Length; s++)
        {
            TestTensors.AssertClose(ReferenceKernels.Attention(shape, run.Cached[s], 0), outputs[s], Tolerance, 0, $"sequence of {lengths[s]}");
            double[] withoutCodes = ReferenceKernels.Attention(shape, sequences[s], rotary, [.. Enumerable.Range(0, lengths[s])]);
            TestTensors.AssertClose(withoutCodes, outputs[s], 5e-2, 0, $"sequence of {lengths[s]}, without codes"); // values up to 2 rounded to 8 bits
        }
    }

    [TestMethod]
    public void RotaryAndWriteKv_CodesOf8Bits_WithinHalfAScale()
    {
        using Backend backend = CreateBackend();
        foreach (int dim in new[] { 2, 6, 64, 80, 128 })
        {
            var shape = new AttentionShape(2, 2, dim, 0, 1);
            const int Tokens = 6, Blocks = 3, BlockSize = 3;
            float[] amplitudes = [1, 300, 1e-3f, 0, 1e-38f, 6e4f], rows = TestTensors.Random(dim, Tokens * shape.QkvWidth);
            for (int i = 0; i < rows.Length; i++)
                rows[i] *= amplitudes[i / shape.QkvWidth];
            int[] slots = [5, 0, 8, 2, 3, 1];
            float[] table = [.. Enumerable.Range(0, dim).Select(i => i < dim / 2 ? 0.6f : -0.8f)];
            using DeviceBuffer qkv = backend.Upload(rows), angles = backend.Upload(table);
            using var cache = new TestCache(backend, ElementType.U8, shape, Blocks, BlockSize);
            BatchMetadata batch = AttentionRun.CreateBatch(backend, Tokens, 1, Blocks);
            batch.NumTokens = Tokens;
            batch.NumSeqs = 1;
            backend.Upload(new int[Tokens], batch.RotaryRows);
            backend.Upload(slots, batch.SlotMapping);
            backend.RotaryAndWriteKv(shape, qkv, new RotaryTable(angles, 1, dim), cache.Layer, batch);

            KvCacheScales scales = cache.Layer.Scales!;
            (byte[] Codes, float[] Scales)[] cached = [(backend.DownloadBytes(cache.Layer.Keys), backend.Download(scales.Keys)), (backend.DownloadBytes(cache.Layer.Values), backend.Download(scales.Values))];
            for (int t = 0; t < Tokens; t++)
            {
                for (int h = 0; h < 4; h++)
                {
                    ReadOnlySpan<float> head = rows.AsSpan(t * shape.QkvWidth + (2 + h) * dim, dim);
                    double[] expected = h < 2 ? ReferenceKernels.Rotate(head, table) : TestTensors.Exact(head);
                    var (codes, headScales) = cached[h / 2];
                    int row = (slots[t] / BlockSize * 2 + h % 2) * BlockSize + slots[t] % BlockSize;
                    double largest = expected.Max(Math.Abs);
                    Assert.AreEqual(largest / 127, headScales[row], 1e-6 * largest + 1e-44, $"scale of head {h} of token {t}, headDim {dim}");
                    for (int i = 0; i < dim; i++)
                    {
                        Assert.AreEqual(expected[i], (codes[row * dim + i] - 128) * (double)headScales[row], 0.50001 * largest / 127 + 1e-37, $"element {i} of head {h} of token {t}, headDim {dim}");
                        Assert.AreNotEqual(0, codes[row * dim + i], "codes end at -127");
                    }
                }
            }
            AttentionRun.DisposeBatch(batch);
        }
    }

    [TestMethod]
    public void RotaryAndWriteKv_CodesOfWhatIsNoNumber_ScaleIsNone()
    {
        using Backend backend = CreateBackend();
        var shape = new AttentionShape(1, 1, 8, 0, 1);
        float[] rows = TestTensors.Random(1, 3 * shape.QkvWidth);
        rows[8 + 3] = float.NaN; // key of the first token
        rows[shape.QkvWidth + 16] = float.PositiveInfinity; // value of the second
        using DeviceBuffer qkv = backend.Upload(rows), angles = backend.Upload([1f, 1, 1, 1, 0, 0, 0, 0]);
        using var cache = new TestCache(backend, ElementType.U8, shape, 1, 3);
        BatchMetadata batch = AttentionRun.CreateBatch(backend, 3, 1, 1);
        batch.NumTokens = 3;
        batch.NumSeqs = 1;
        backend.Upload(new int[3], batch.RotaryRows);
        backend.Upload([0, 1, 2], batch.SlotMapping);
        backend.RotaryAndWriteKv(shape, qkv, new RotaryTable(angles, 1, 8), cache.Layer, batch);
        bool[] finiteKeys = [.. backend.Download(cache.Layer.Scales!.Keys).Select(float.IsFinite)], finiteValues = [.. backend.Download(cache.Layer.Scales.Values).Select(float.IsFinite)];
        CollectionAssert.AreEqual(new[] { false, true, true }, finiteKeys);
        CollectionAssert.AreEqual(new[] { true, false, true }, finiteValues);
        AttentionRun.DisposeBatch(batch);
    }

    [TestMethod]
    [DataRow(ElementType.F32)]
    [DataRow(ElementType.F16)]
    [DataRow(ElementType.U8)]
    public void PagedAttention_BlockSizeChunkingAndNeighbours_SameBits(ElementType cacheType)
    {
        foreach (var shape in new[] { new AttentionShape(6, 2, 24, 0, 0.2f), new AttentionShape(4, 4, 64, 21, 0.125f) })
        {
            float[] rotary = RotaryValues(SequenceLengths[^1], shape.HeadDim);
            float[][] sequences = [.. SequenceLengths.Select((length, i) => TestTensors.Random(i, length * shape.QkvWidth, 2))];
            float[][] whole = Attend(shape, 16, cacheType, sequences, rotary, []);
            Compare(whole, Attend(shape, 16, cacheType, sequences, rotary, RaggedSteps), "chunks, blocks of 16");
            Compare(whole, Attend(shape, 1, cacheType, sequences, rotary, RaggedSteps), "chunks, blocks of 1");
            Compare(whole, Attend(shape, 5, cacheType, sequences, rotary, []), "blocks of 5");
            Compare([whole[^1]], Attend(shape, 16, cacheType, [sequences[^1]], rotary, []), "alone");
            int secondLongest = SequenceLengths.Length - 2;
            int[][] oneByOne = [.. Enumerable.Repeat(new[] { 1 }, SequenceLengths[secondLongest])];
            Compare([whole[secondLongest]], Attend(shape, 16, cacheType, [sequences[secondLongest]], rotary, oneByOne), "token by token");
        }

        static void Compare(float[][] expected, float[][] actual, string what)
        {
            for (int s = 0; s < expected.Length; s++)
                TestTensors.AssertSameBits(expected[s], actual[s], $"sequence {s}, {what}");
        }
    }

    [TestMethod]
    public void PagedAttention_HalfCacheOfExactValues_MatchesReference()
    {
        // Quarter turns and multiples of 1/128: what the F16 cache holds is exact, so the tolerance is that of F32.
        var shape = new AttentionShape(4, 2, 20, 0, 0.25f);
        float[] rotary = new float[4 * 20];
        float[] cos = [1, 0, -1, 0], sin = [0, 1, 0, -1];
        for (int i = 0; i < rotary.Length; i++)
            rotary[i] = i % 20 < 10 ? cos[i / 20] : sin[i / 20];
        float[] rows = [.. Enumerable.Range(0, SequenceLengths[^1]).SelectMany(p => rotary.Skip(p % 4 * 20).Take(20))];
        float[][] sequences = [.. SequenceLengths.Select((length, i) => TestTensors.RandomExact(i, length * shape.QkvWidth))];
        float[][] outputs = Attend(shape, 16, ElementType.F16, sequences, rows, RaggedSteps);
        for (int s = 0; s < sequences.Length; s++)
            TestTensors.AssertClose(ReferenceKernels.Attention(shape, sequences[s], rows, [.. Enumerable.Range(0, SequenceLengths[s])]), outputs[s], Tolerance, 0, $"sequence {s}");
    }

    [TestMethod]
    public void PagedAttention_LargeScores_DoesNotOverflow()
    {
        // Scores of some hundreds: exp without the maximum subtracted would be infinite.
        var shape = new AttentionShape(2, 1, 16, 0, 1f);
        float[] rotary = RotaryValues(40, 16), sequence = TestTensors.Random(1, 40 * shape.QkvWidth, 12);
        float[][] outputs = Attend(shape, 16, ElementType.F32, [sequence], rotary, []);
        TestTensors.AssertClose(ReferenceKernels.Attention(shape, sequence, rotary, [.. Enumerable.Range(0, 40)]), outputs[0], 2e-3, 1e-3, "large scores");
    }

    [TestMethod]
    public void RotaryAndWriteKv_RowsAndSlots_RotatesAndWritesThem()
    {
        using Backend backend = CreateBackend();
        foreach (int dim in new[] { 2, 6, 8, 24, 64, 128 })
        {
            var shape = new AttentionShape(3, 1, dim, 0, 1);
            const int Tokens = 3, Blocks = 4, BlockSize = 2;
            float[] rows = TestTensors.Random(dim, Tokens * shape.QkvWidth), table = TestTensors.Random(1, 5 * dim);
            int[] rotaryRows = [4, 0, 2], slots = [5, 0, 6];
            using DeviceBuffer qkv = backend.Upload(rows), values = backend.Upload(table);
            using DeviceBuffer keys = backend.Upload(new float[Blocks * BlockSize * dim]), cachedValues = backend.Upload(new float[Blocks * BlockSize * dim]);
            BatchMetadata batch = AttentionRun.CreateBatch(backend, Tokens, 1, Blocks);
            batch.NumTokens = Tokens;
            batch.NumSeqs = 1;
            backend.Upload(rotaryRows, batch.RotaryRows);
            backend.Upload(slots, batch.SlotMapping);
            backend.RotaryAndWriteKv(shape, qkv, new RotaryTable(values, 5, dim), new KvCacheLayer(keys, cachedValues, Blocks, BlockSize), batch);

            float[] rotated = backend.Download(qkv), k = backend.Download(keys), v = backend.Download(cachedValues);
            for (int t = 0; t < Tokens; t++)
            {
                double[] Expected(int head) => ReferenceKernels.Rotate(rows.AsSpan(t * shape.QkvWidth + head * dim, dim), table.AsSpan(rotaryRows[t] * dim, dim));
                for (int h = 0; h < 3; h++)
                    TestTensors.AssertClose(Expected(h), rotated.AsSpan(t * shape.QkvWidth + h * dim, dim), 1e-6, 0, $"query {h} of token {t}, headDim {dim}");
                TestTensors.AssertClose(Expected(3), k.AsSpan(slots[t] * dim, dim), 1e-6, 0, $"key of token {t}, headDim {dim}");
                TestTensors.AssertSameBits(rows.AsSpan(t * shape.QkvWidth + 4 * dim, dim), v.AsSpan(slots[t] * dim, dim), $"value of token {t}, headDim {dim}");
            }
            for (int slot = 0; slot < Blocks * BlockSize; slot++)
                if (!slots.Contains(slot))
                    TestTensors.AssertSameBits(new float[dim], k.AsSpan(slot * dim, dim), $"slot {slot} was not to be written");
        }
    }

    private float[][] Attend(AttentionShape shape, int blockSize, ElementType cacheType, float[][] sequences, float[] rotary, int[][] steps)
    {
        using Backend backend = CreateBackend();
        var run = new AttentionRun { Shape = shape, BlockSize = blockSize, CacheType = cacheType, Sequences = sequences, RotaryTable = rotary, Steps = steps };
        return run.Execute(backend);
    }

    private static float[] RotaryValues(int positions, int headDim)
    {
        var values = new float[positions * headDim];
        for (int p = 0; p < positions; p++)
            for (int i = 0; i < headDim / 2; i++)
            {
                double angle = p * Math.Pow(10000, -2.0 * i / headDim);
                values[p * headDim + i] = (float)Math.Cos(angle);
                values[p * headDim + headDim / 2 + i] = (float)Math.Sin(angle);
            }
        return values;
    }
}
