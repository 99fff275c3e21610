namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>The merges of a tokenizer.json: pair of ids to rank and merged id.</summary>
internal sealed class BpeMerges : IMergeTable
{
    private readonly Dictionary<(int Left, int Right), (int Rank, int Id)> _merges;
    private readonly BigramSet _bigrams = new();

    /// <summary>Makes an empty table.</summary>
    public BpeMerges(int capacity) => _merges = new(capacity);

    /// <summary>Adds the next merge; a pair that is there already takes the new rank, as in Hugging Face's table.</summary>
    public void Add(int left, int right, int merged, string mergedToken, int rank)
    {
        _merges[(left, right)] = (rank, merged);
        _bigrams.AddAll(mergedToken);
    }

    /// <inheritdoc/>
    public bool CanMeet(in BpeSymbol left, in BpeSymbol right) => _bigrams.Contains(left.Last, right.First);

    /// <inheritdoc/>
    public bool TryMerge(in BpeSymbol left, in BpeSymbol right, out int priority, out int mergedId)
    {
        bool found = _merges.TryGetValue((left.Id, right.Id), out (int Rank, int Id) merge);
        (priority, mergedId) = merge;
        return found;
    }
}
