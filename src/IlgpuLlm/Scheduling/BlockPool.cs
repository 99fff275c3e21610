namespace IlgpuLlm.Scheduling;

/// <summary>
/// Hands out the KV cache's blocks. A block is used while its reference count is above zero (several sequences may share one; a shared block is
/// copied before it is written). Free blocks form a list in the order of their last use: the one unused for the longest time is taken first.
/// </summary>
internal sealed class BlockPool
{
    private const int Nil = -1;
    private readonly int[] _next;
    private readonly int[] _previous;
    private readonly int[] _refCount;
    private int _head;
    private int _tail;

    public BlockPool(int numBlocks)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(numBlocks);
        NumBlocks = NumFreeBlocks = numBlocks;
        _next = new int[numBlocks];
        _previous = new int[numBlocks];
        _refCount = new int[numBlocks];
        for (int block = 0; block < numBlocks; block++)
        {
            _previous[block] = block - 1;
            _next[block] = block + 1;
        }
        _next[^1] = Nil;
        _head = 0;
        _tail = numBlocks - 1;
    }

    public int NumBlocks { get; }

    public int NumFreeBlocks { get; private set; }

    /// <summary>How many sequences hold the block; above 1 it must not be written.</summary>
    public int RefCount(int block) => _refCount[block];

    /// <summary>Takes the least recently used free block; its reference count becomes 1.</summary>
    public int Allocate()
    {
        if (_head == Nil)
            throw new InvalidOperationException($"no free block among {NumBlocks}; callers check NumFreeBlocks first");
        int block = _head;
        Unlink(block);
        _refCount[block] = 1;
        return block;
    }

    /// <summary>Lets another sequence hold the block; a free block leaves the free list with its contents kept.</summary>
    public void AddReference(int block)
    {
        if (_refCount[block]++ == 0)
            Unlink(block);
    }

    /// <summary>
    /// Gives up one reference to each block of a sequence. The last block is freed first, so that the blocks that a prefix has in common with later
    /// requests stay longest.
    /// </summary>
    public void Free(ReadOnlySpan<int> blocks)
    {
        for (int i = blocks.Length - 1; i >= 0; i--)
        {
            int block = blocks[i];
            if (_refCount[block] <= 0)
                throw new InvalidOperationException($"block {block} is freed twice");
            if (--_refCount[block] == 0)
                LinkLast(block);
        }
    }

    private void Unlink(int block)
    {
        int previous = _previous[block], next = _next[block];
        if (previous == Nil)
            _head = next;
        else
            _next[previous] = next;
        if (next == Nil)
            _tail = previous;
        else
            _previous[next] = previous;
        NumFreeBlocks--;
    }

    private void LinkLast(int block)
    {
        _previous[block] = _tail;
        _next[block] = Nil;
        if (_tail == Nil)
            _head = block;
        else
            _next[_tail] = block;
        _tail = block;
        NumFreeBlocks++;
    }
}
