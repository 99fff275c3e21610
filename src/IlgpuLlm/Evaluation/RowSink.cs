using IlgpuLlm.Sampling;

namespace IlgpuLlm.Evaluation;

/// <summary>Reads a prompt's rows of logits, on all cores: the vocabulary may be large.</summary>
/// <param name="tokenIds">The prompt.</param>
/// <param name="read">Reads the row of a position; called for all of them, from any thread.</param>
internal sealed class RowSink(IReadOnlyList<int> tokenIds, RowReader read) : IPromptLogitsSink
{
    private readonly Lock _lock = new();
    private int _badPosition = int.MaxValue;

    public IReadOnlyList<int> TokenIds => tokenIds;

    /// <summary>What is wrong with the first row that is not finite; null: nothing. Said when the prompt is done: an exception amid a step would leave the engine unusable.</summary>
    public string? Error { get; private set; }

    public void Add(int firstPosition, int numPositions, ReadOnlyMemory<float> logits)
    {
        int vocabSize = logits.Length / numPositions;
        Parallel.For(0, numPositions, i =>
        {
            var row = logits.Span.Slice(i * vocabSize, vocabSize);
            if (IndexOfNotFinite(row) is >= 0 and var id)
                AddError(firstPosition + i, Sampler.NotFinite(id, row[id]));
            else
                read(firstPosition + i, row);
        });
    }

    private void AddError(int position, string problem)
    {
        lock (_lock)
        {
            if (position >= _badPosition)
                return;
            _badPosition = position;
            Error = $"position {position}: {problem}";
        }
    }

    private static int IndexOfNotFinite(ReadOnlySpan<float> row)
    {
        for (int id = 0; id < row.Length; id++)
        {
            if (!float.IsFinite(row[id]))
                return id;
        }
        return -1;
    }
}

/// <summary>Reads the logits of a position: [vocabSize].</summary>
internal delegate void RowReader(int position, ReadOnlySpan<float> logits);
