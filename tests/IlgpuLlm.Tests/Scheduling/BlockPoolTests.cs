using IlgpuLlm.Scheduling;

namespace IlgpuLlm.Tests.Scheduling;

[TestClass]
public sealed class BlockPoolTests
{
    [TestMethod]
    public void Allocate_FreshPool_GivesEveryBlockOnce()
    {
        var pool = new BlockPool(5);
        int[] blocks = [.. Enumerable.Range(0, 5).Select(_ => pool.Allocate())];
        CollectionAssert.AreEquivalent(new[] { 0, 1, 2, 3, 4 }, blocks);
        Assert.AreEqual(0, pool.NumFreeBlocks);
        Assert.ThrowsExactly<InvalidOperationException>(() => pool.Allocate());
    }

    [TestMethod]
    public void Free_TwoSequences_ReusesLeastRecentlyFreedTailFirst()
    {
        var pool = new BlockPool(4);
        int[] first = [pool.Allocate(), pool.Allocate()], second = [pool.Allocate(), pool.Allocate()];
        pool.Free(second);
        pool.Free(first);
        // The sequence freed earlier goes first, and of each sequence the last block.
        int[] order = [.. Enumerable.Range(0, 4).Select(_ => pool.Allocate())];
        CollectionAssert.AreEqual(new[] { second[1], second[0], first[1], first[0] }, order);
    }

    [TestMethod]
    public void AddReference_SharedBlock_StaysUsedUntilLastHolderFrees()
    {
        var pool = new BlockPool(2);
        int block = pool.Allocate();
        pool.AddReference(block);
        Assert.AreEqual(2, pool.RefCount(block));
        pool.Free([block]);
        Assert.AreEqual(1, pool.NumFreeBlocks);
        pool.Free([block]);
        Assert.AreEqual(2, pool.NumFreeBlocks);
        Assert.ThrowsExactly<InvalidOperationException>(() => pool.Free([block]));
    }

    [TestMethod]
    public void AddReference_FreeBlock_LeavesTheFreeList()
    {
        var pool = new BlockPool(3);
        pool.AddReference(1);
        Assert.AreEqual(2, pool.NumFreeBlocks);
        int[] rest = [pool.Allocate(), pool.Allocate()];
        CollectionAssert.AreEqual(new[] { 0, 2 }, rest);
    }
}
