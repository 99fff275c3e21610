using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// output[t, n] = weight[n] . x[t] + bias[n], or output[t, n] += that. A warp (Group.DimX lanes; one lane on ILGPU's CPU accelerator) makes one output feature of a tile of
/// tokens; Group.DimY warps make neighbouring features. Lane l adds chunks l, l + DimX, ... of the row in order, then the lanes are added in a
/// butterfly: the order depends on the row length alone.
/// </summary>
internal static class LinearBody<TFormat, TStorage, TRaw, TChunk, TTile>
    where TFormat : struct, IChunkFormat<TStorage, TRaw, TChunk>
    where TStorage : unmanaged
    where TRaw : unmanaged
    where TChunk : unmanaged
    where TTile : unmanaged, ITokenTile<TTile>
{
    /// <summary>Tokens in this variant's tile.</summary>
    public static int TileTokens => TTile.Tokens;

    internal static void Body(
        ArrayView<TStorage> weight, ArrayView<float> bias, int hasBias, int accumulate, ArrayView<float> x, ArrayView<float> output, int numRows, int outFeatures, int inFeatures)
    {
        // Tiles of one feature are neighbours in the grid, so that they find its weights in the L2 cache.
        int numTiles = (numRows + TTile.Tokens - 1) / TTile.Tokens;
        int token = Grid.IdxX % numTiles * TTile.Tokens;
        int feature = Grid.IdxX / numTiles * Group.DimY + Group.IdxY;
        if (feature >= outFeatures)
            return;
        long row = (long)feature * inFeatures;
        int numChunks = inFeatures / TFormat.Width;
        int step = Group.DimX;
        int chunk = Group.IdxX;
        var tile = TTile.Create(token, numRows - 1, inFeatures);

        for (; chunk < numChunks; chunk += step)
        {
            int k = chunk * TFormat.Width;
            tile = TTile.Add<TFormat, TStorage, TRaw, TChunk>(tile, TFormat.Widen(TFormat.Load(weight, row + k)), x, k);
        }
        for (int k = numChunks * TFormat.Width + Group.IdxX; k < inFeatures; k += step)
            tile = TTile.AddOne(tile, TFormat.WidenOne(weight[row + k]), x, k);

        tile = TTile.Reduce(tile);
        if (Group.IdxX == 0)
            TTile.Store(tile, output, token, numRows - 1, outFeatures, feature, hasBias != 0 ? bias[feature] : 0f, accumulate);
    }
}
