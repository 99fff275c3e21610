using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>Loading out of a checkpoint's words.</summary>
public sealed unsafe partial class CpuDotLinearWeight
{
    /// <inheritdoc/>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override bool TryLoadWordsCore(int firstRow, int numRows, QuantizedWords source, int sourceRow)
    {
        bool areEights = firstRow % QuantizedWordRows.Eight == 0 && numRows % QuantizedWordRows.Eight == 0 && sourceRow % QuantizedWordRows.Eight == 0;
        bool areBlocks = Dots.GroupLength % CpuDotLayout.BlockLength == 0 && Dots.VectorLength % DotWordChunks.Outputs == 0;
        if (!areEights || !areBlocks)
            return false;
        var rows = new QuantizedWordRows(source, sourceRow, numRows);
        int numBlocks = (InFeatures + QuantizedWordRows.BlockInputs - 1) / QuantizedWordRows.BlockInputs;
        uint* words = stackalloc uint[QuantizedWordRows.WordsTogether];
        uint** places = stackalloc uint*[2 * QuantizedWordRows.EightsTogether]; // of four outputs each, in the first group
        for (int eight = 0; eight < rows.NumEights; eight += QuantizedWordRows.EightsTogether)
        {
            int count = Math.Min(QuantizedWordRows.EightsTogether, rows.NumEights - eight);
            for (int i = 0; i < 2 * count; i++)
            {
                int row = firstRow + eight * QuantizedWordRows.Eight + i * DotWordChunks.Outputs, lane = row % Layout.PanelWidth;
                places[i] = (uint*)Codes(row / Layout.PanelWidth, 0, lane / Dots.VectorLength) + lane % Dots.VectorLength;
            }
            for (int block = 0; block < numBlocks; block++)
            {
                // Words of a whole vector, those that are missing as zeros.
                rows.ReadCodes(block, eight, (count + 3) & ~3, new(words, QuantizedWordRows.WordsTogether));
                if (rows.Layout == QuantizedWordLayout.Outputs)
                    StoreOutputs(words, rows.Pitch, block, places, 2 * count);
                else
                    StoreInputs(words, rows.Pitch, block, places, 2 * count);
            }
        }
        _scales.Load(firstRow, rows);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void StoreOutputs(uint* words, int pitch, int block, uint** places, int numPlaces)
    {
        uint* chunks = stackalloc uint[DotWordChunks.OutputsTogether];
        int first = block * QuantizedWordRows.BlockInputs, end = Math.Min(InFeatures, first + QuantizedWordRows.BlockInputs);
        for (int input = first; input < end; input += Dots.InputsOfChunk, words += Dots.InputsOfChunk * pitch)
        {
            nint offset = ChunkOffset(input);
            for (int i = 0; i < numPlaces; i += DotWordChunks.OutputsTogether / DotWordChunks.Outputs)
            {
                DotWordChunks.OfOutputs(words + i / 2, pitch, chunks);
                int count = Math.Min(numPlaces - i, DotWordChunks.OutputsTogether / DotWordChunks.Outputs);
                for (int j = 0; j < count; j++)
                    Vector128.Load(chunks + j * DotWordChunks.Outputs).Store(places[i + j] + offset);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void StoreInputs(uint* words, int pitch, int block, uint** places, int numPlaces)
    {
        int first = block * QuantizedWordRows.BlockInputs, end = Math.Min(InFeatures, first + QuantizedWordRows.BlockInputs);
        for (int input = first; input < end; input += Dots.InputsOfChunk, words += pitch)
        {
            nint offset = ChunkOffset(input);
            for (int i = 0; i < numPlaces; i++)
                DotWordChunks.OfInputs(Vector128.Load(words + i * DotWordChunks.Outputs)).Store(places[i] + offset);
        }
    }

    /// <summary>From an output's bytes in the first group to those of a chunk, in words.</summary>
    private nint ChunkOffset(int input)
    {
        int group = input / Dots.GroupLength, chunk = input % Dots.GroupLength / Dots.InputsOfChunk;
        return (nint)(group * (Dots.Offset(0, 1, 0) / sizeof(uint))) + chunk * Dots.VectorLength;
    }
}
