using IlgpuLlm.Execution;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Tests.Scheduling;

/// <summary>
/// A model whose next token is a hash of the whole sequence, read from a simulated KV cache: it finds a token only where the block table says that
/// an earlier step wrote it, so lost, shared or overwritten blocks change the result. With <paramref name="overlaps"/> it tells tokens only when a step is
/// collected, and reads pending ones where a device would have them.
/// </summary>
internal sealed class FakeModelRunner(int numBlocks, int blockSize, SchedulerConfig config, int vocabSize, bool overlaps = false) : IModelRunner
{
    private readonly int[] _slots = new int[numBlocks * blockSize];
    private readonly Queue<ModelRunnerOutput> _results = [];
    private int[] _sampled = new int[config.MaxNumSeqs];

    /// <summary>Requests that fail instead of producing a token.</summary>
    public HashSet<string> Failing { get; } = [];

    public List<(string Id, int NumTokens)[]> Steps { get; } = [];

    public static int NextToken(ReadOnlySpan<int> tokens, int vocabSize)
    {
        uint hash = 2166136261;
        foreach (int token in tokens)
            hash = (hash ^ (uint)token) * 16777619;
        return (int)((hash >> 7) % (uint)vocabSize);
    }

    public bool Launch(SchedulerOutput scheduled)
    {
        Assert.IsTrue(scheduled.Count > 0 && scheduled.TotalNumScheduledTokens <= config.MaxNumBatchedTokens, "token budget");
        Assert.IsTrue(scheduled.Count <= config.MaxNumSeqs, "sequence limit");
        Assert.IsTrue(_results.Count <= (overlaps ? 1 : 0), "steps under way");
        Steps.Add([.. Enumerable.Range(0, scheduled.Count).Select(i => (scheduled.Requests[i].Id, scheduled.NumScheduledTokens[i]))]);
        for (int i = 0; i < scheduled.Count; i++)
            Write(scheduled.Requests[i], scheduled.FirstPositions[i], scheduled.NumScheduledTokens[i]);
        var output = new ModelRunnerOutput(config.MaxNumSeqs);
        int[] sampled = [.. Enumerable.Repeat(-1, config.MaxNumSeqs)];
        for (int i = 0; i < scheduled.Count; i++)
        {
            var request = scheduled.Requests[i];
            output.Rows[i] = Sample(request, scheduled.FirstPositions[i] + scheduled.NumScheduledTokens[i], scheduled.Samples[i]);
            if (scheduled.Samples[i])
                (request.SampledRow, sampled[i]) = (i, Math.Max(output.Rows[i].SampledTokenId, 0));
        }
        _sampled = sampled;
        _results.Enqueue(output);
        return overlaps;
    }

    public ModelRunnerOutput Collect() => _results.Dequeue();

    public void Dispose()
    {
    }

    private void Write(Request request, int first, int count)
    {
        Assert.IsTrue(count > 0);
        for (int position = first; position < first + count; position++)
        {
            int token = position < request.NumTokens ? request.TokenIds[position] : _sampled[request.SampledRow];
            Assert.IsTrue(token >= 0, "a pending token is one of the step before");
            _slots[Slot(request, position)] = token;
        }
    }

    private ModelRunnerRow Sample(Request request, int end, bool samples)
    {
        if (!samples)
            return new ModelRunnerRow(ModelRunnerRow.NoToken, null, null, null);
        if (Failing.Contains(request.Id))
            return new ModelRunnerRow(ModelRunnerRow.NoToken, null, null, "broken on purpose");
        int[] cached = [.. Enumerable.Range(0, end).Select(position => _slots[Slot(request, position)])];
        return new ModelRunnerRow(NextToken(cached, vocabSize), null, null, null);
    }

    private int Slot(Request request, int position) => request.BlockTable[position / blockSize] * blockSize + position % blockSize;
}
