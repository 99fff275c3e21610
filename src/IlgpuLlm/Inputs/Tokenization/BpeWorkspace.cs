using System.Runtime.InteropServices;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Byte-pair encoding of one word after another: the symbols of the word and the queue of merges. One call of Encode owns one workspace, so that
/// its memory is reused from word to word and tokenizers stay thread-safe.
/// </summary>
internal sealed class BpeWorkspace
{
    private readonly List<BpeSymbol> _symbols = [];
    private readonly PriorityQueue<Candidate, ulong> _queue = new();

    /// <summary>The symbols; after <see cref="Merge"/> walk them from 0 along Next while Next is below Length.</summary>
    public Span<BpeSymbol> Symbols => CollectionsMarshal.AsSpan(_symbols);

    /// <summary>Starts a new word.</summary>
    public void Clear() => _symbols.Clear();

    /// <summary>Appends a symbol to the word.</summary>
    /// <param name="id">Its id, or <see cref="BpeSymbol.Unknown"/>.</param>
    /// <param name="start">The first character that it covers.</param>
    /// <param name="end">The character after the last one.</param>
    /// <param name="token">Its token; for a symbol that is none, its text.</param>
    /// <param name="frozen">Whether it takes part in no merge.</param>
    public void Add(int id, int start, int end, ReadOnlySpan<char> token, bool frozen = false)
    {
        int index = _symbols.Count;
        _symbols.Add(new BpeSymbol
        {
            Id = id,
            Start = start,
            End = end,
            Previous = index - 1,
            Next = index + 1,
            First = token[0],
            Last = token[^1],
            Frozen = frozen,
        });
    }

    /// <summary>
    /// Merges until no pair is left, best priority first, then leftmost. O(n log n): a heap holds every possible merge, and one whose symbols have
    /// changed meanwhile is recognized by its bounds and dropped when it comes up.
    /// </summary>
    public void Merge<TTable>(TTable table)
        where TTable : IMergeTable
    {
        Span<BpeSymbol> symbols = Symbols;
        for (int i = 1; i < symbols.Length; i++)
        {
            // What no merge can join is merged separately, with the same result.
            if (!table.CanMeet(symbols[i - 1], symbols[i]))
                MergeQueued(table, symbols);
            else
                Enqueue(table, symbols, i - 1, i);
        }
        MergeQueued(table, symbols);
    }

    private void MergeQueued<TTable>(TTable table, Span<BpeSymbol> symbols)
        where TTable : IMergeTable
    {
        while (_queue.TryDequeue(out Candidate merge, out _))
        {
            ref BpeSymbol left = ref symbols[merge.Left];
            if (left.Next != merge.Right || symbols[merge.Right].Next != merge.End)
                continue;
            ref BpeSymbol right = ref symbols[merge.Right];
            left.Id = merge.Id;
            left.End = right.End;
            left.Next = right.Next;
            right.Next = -1;
            if (left.Next < symbols.Length)
            {
                symbols[left.Next].Previous = merge.Left;
                Enqueue(table, symbols, merge.Left, left.Next);
            }
            if (left.Previous >= 0)
                Enqueue(table, symbols, left.Previous, merge.Left);
        }
    }

    private void Enqueue<TTable>(TTable table, ReadOnlySpan<BpeSymbol> symbols, int left, int right)
        where TTable : IMergeTable
    {
        if (!table.TryMerge(symbols[left], symbols[right], out int priority, out int id))
            return;
        // One key orders by priority, then by position; flipping the sign bit makes the signed priority compare as unsigned.
        ulong key = ((ulong)(uint)(priority ^ int.MinValue) << 32) | (uint)left;
        _queue.Enqueue(new Candidate(left, right, symbols[right].Next, id), key);
    }

    private readonly record struct Candidate(int Left, int Right, int End, int Id);
}
