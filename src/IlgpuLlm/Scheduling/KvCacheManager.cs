namespace IlgpuLlm.Scheduling;

/// <summary>Gives requests the cache blocks that their tokens need.</summary>
internal sealed class KvCacheManager(BlockPool pool, int blockSize)
{
    public int BlockSize { get; } = blockSize;

    public BlockPool Pool { get; } = pool;

    /// <summary>Extends the request's block table to hold <paramref name="numNewTokens"/> more tokens; all or nothing.</summary>
    public bool TryAllocateSlots(Request request, int numNewTokens)
    {
        int needed = BlocksFor(request.NumComputedTokens + numNewTokens) - request.NumBlocks;
        if (needed > Pool.NumFreeBlocks)
            return false;
        for (int i = 0; i < needed; i++)
            request.AppendBlock(Pool.Allocate());
        return true;
    }

    /// <summary>Takes all blocks from the request.</summary>
    public void Free(Request request)
    {
        Pool.Free(request.BlockTable);
        request.ClearBlocks();
    }

    /// <summary>Whether the request could run to its end with the whole cache to itself.</summary>
    public bool CanEverFit(Request request) => request.MaxBlocks <= Pool.NumBlocks;

    private int BlocksFor(int numTokens) => (numTokens + BlockSize - 1) / BlockSize;
}
