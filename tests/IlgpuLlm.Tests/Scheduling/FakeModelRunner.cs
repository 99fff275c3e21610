using IlgpuLlm.Execution;
using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Tests.Scheduling;

/// <summary>
/// A model whose next token is a hash of the whole sequence, read from a simulated KV cache: it finds a token only where the block table says that
/// an earlier step wrote it, so lost, shared or overwritten blocks change the result.
/// </summary>
internal sealed class FakeModelRunner(int numBlocks, int blockSize, SchedulerConfig config, int vocabSize) : IModelRunner
{
    private readonly int[] _slots = new int[numBlocks * blockSize];
    private readonly ModelRunnerOutput _output = new(config.MaxNumSeqs);

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

    public ModelRunnerOutput Execute(SchedulerOutput scheduled)
    {
        Assert.IsTrue(scheduled.TotalNumScheduledTokens <= config.MaxNumBatchedTokens, "token budget");
        Assert.IsTrue(scheduled.Count <= config.MaxNumSeqs, "sequence limit");
        Steps.Add([.. Enumerable.Range(0, scheduled.Count).Select(i => (scheduled.Requests[i].Id, scheduled.NumScheduledTokens[i]))]);
        for (int i = 0; i < scheduled.Count; i++)
            Write(scheduled.Requests[i], scheduled.NumScheduledTokens[i]);
        for (int i = 0; i < scheduled.Count; i++)
            _output.Rows[i] = Sample(scheduled.Requests[i], scheduled.NumScheduledTokens[i]);
        return _output;
    }

    public void Dispose()
    {
    }

    private void Write(Request request, int count)
    {
        Assert.IsTrue(count > 0);
        for (int position = request.NumComputedTokens; position < request.NumComputedTokens + count; position++)
            _slots[Slot(request, position)] = request.TokenIds[position];
    }

    private ModelRunnerRow Sample(Request request, int count)
    {
        int end = request.NumComputedTokens + count;
        if (end < request.NumTokens)
            return new ModelRunnerRow(ModelRunnerRow.NoToken, null, null, null);
        if (Failing.Contains(request.Id))
            return new ModelRunnerRow(ModelRunnerRow.NoToken, null, null, "broken on purpose");
        int[] cached = [.. Enumerable.Range(0, end).Select(position => _slots[Slot(request, position)])];
        return new ModelRunnerRow(NextToken(cached, vocabSize), null, null, null);
    }

    private int Slot(Request request, int position) => request.BlockTable[position / blockSize] * blockSize + position % blockSize;
}
