using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// The slots of a FlashAttention grid's second dimension. A sequence of n tokens from s on has the slots from s / tile + sequence on, at least as many as it
/// has tiles of queries: so a slot's sequence is found without adding up tiles. A slot for each full tile of the tokens and one for each sequence are enough.
/// </summary>
internal static class FlashSlots
{
    /// <summary>The slot in which a sequence begins whose first token is <paramref name="start"/>.</summary>
    public static int First(int start, int sequence, int tileQueries) => start / tileQueries + sequence;

    /// <summary>The tile of a slot.</summary>
    public static FlashTile Tile(ArrayView<int> queryStartLoc, int numSeqs, int slot, int tileQueries)
    {
        int sequence = Find(queryStartLoc, numSeqs, slot, tileQueries);
        int start = queryStartLoc[sequence];
        int count = queryStartLoc[sequence + 1] - start;
        int numTiles = (count + tileQueries - 1) / tileQueries;
        int firstRow = (numTiles - 1 - (slot - First(start, sequence, tileQueries))) * tileQueries; // the longest rows first: short ones fill the end of the grid
        return new() { Sequence = sequence, Token = start + firstRow, NumRows = firstRow < 0 ? 0 : IntrinsicMath.Min(tileQueries, count - firstRow) };
    }

    /// <summary>The last sequence that begins at or before a slot.</summary>
    public static int Find(ArrayView<int> queryStartLoc, int numSeqs, int slot, int tileQueries)
    {
        int low = 0, high = numSeqs - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if (First(queryStartLoc[middle], middle, tileQueries) <= slot)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }
}

/// <summary>Neighbouring queries of a sequence that a group makes.</summary>
internal struct FlashTile
{
    public int Sequence;
    public int Token; // the first query's
    public int NumRows; // 0: the slot is one too many
}
