using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using IlgpuLlm.Kernels.Cpu.Simd;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>A linear layer's matrix of floats, or of halves as <see cref="PackedHalf"/> stores them, in panels.</summary>
public sealed unsafe class CpuLinearWeight : CpuBlockedWeight
{
    private readonly NativeBlock _panels;
    private readonly WeightOutliers _outliers = new();

    internal CpuLinearWeight(CpuThreadPool pool, int panelWidth, int outFeatures, int inFeatures, ElementType storage, bool hasBias)
        : base(pool, new PanelLayout(outFeatures, inFeatures, panelWidth), storage, hasBias, quantization: null, inputOrder: [])
    {
        _panels = new NativeBlock(Layout.Length * storage.SizeInBytes(), isDense: true);
        ClearMissingRows();
    }

    internal override float InputScale => Storage == ElementType.F32 ? 1 : PackedHalf.InputScale;

    /// <inheritdoc/>
    public override long ByteLength => ComputeByteLength(Layout, Storage, HasBias);

    internal static long ComputeByteLength(PanelLayout layout, ElementType storage, bool hasBias)
        => layout.Length * storage.SizeInBytes() + BiasByteLength(layout, hasBias);

    /// <summary>The first byte of a panel's block.</summary>
    internal byte* Panel(int block, int panel)
    {
        ObjectDisposedException.ThrowIf(_panels.Pointer is null, this);
        return _panels.Pointer + Layout.Offset(block, panel) * Storage.SizeInBytes();
    }

    internal override void AddOutliers(float* input, int rows, float* output, int firstPanel, int endPanel)
        => _outliers.AddProducts(input, InFeatures, rows, output, OutFeatures, firstPanel * Layout.PanelWidth, endPanel * Layout.PanelWidth);

    internal override PanelBlock Block(int block, int panel) => new()
    {
        Format = Storage == ElementType.F32 ? PanelFormat.F32 : PanelFormat.F16,
        Data = Panel(block, panel),
        FirstInput = block * PanelLayout.BlockDepth,
        Depth = Layout.Depth(block),
    };

    /// <inheritdoc/>
    // A checkpoint is loaded in fewer calls than tiered compilation counts: 10 ns an element in tier 0, below 1 ns optimised.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void LoadRowsCore(int firstRow, int numRows, ElementType sourceType, ReadOnlySpan<byte> source)
    {
        int elementSize = sourceType.SizeInBytes(), endRow = firstRow + numRows, width = Layout.PanelWidth;
        _outliers.Forget(firstRow, endRow);
        float* floats = stackalloc float[PanelLayout.BlockDepth];
        Half* halves = stackalloc Half[PanelLayout.BlockDepth];
        // All rows of a panel's block before the next block: the 32 KiB that they scatter into stay in the first-level cache.
        for (int row = firstRow, end; row < endRow; row = end)
        {
            end = Math.Min(endRow, (row / width + 1) * width);
            for (int block = 0; block < Layout.NumBlocks; block++)
                for (int r = row; r < end; r++)
                {
                    int depth = Layout.Depth(block);
                    long offset = ((long)(r - firstRow) * InFeatures + block * PanelLayout.BlockDepth) * elementSize;
                    ReadOnlySpan<byte> segment = source.Slice((int)offset, depth * elementSize);
                    byte* panel = Panel(block, r / width);
                    int lane = r % width;
                    if (Storage == ElementType.F32)
                    {
                        ElementConversion.ToFloats(segment, sourceType, new Span<float>(floats, depth));
                        for (int k = 0; k < depth; k++)
                            ((float*)panel)[k * width + lane] = floats[k];
                    }
                    else
                    {
                        ElementConversion.ToHalves(segment, sourceType, new Span<float>(floats, depth), new Span<Half>(halves, depth));
                        for (int k = 0; k < depth; k++)
                            StoreHalf(BitConverter.HalfToUInt16Bits(halves[k]), (ushort*)panel + k * width + lane, r, block * PanelLayout.BlockDepth + k);
                    }
                }
        }
    }

    /// <summary>Copies row <paramref name="row"/> as floats: [inFeatures].</summary>
    internal void CopyRow(int row, float* destination)
    {
        int panel = row / Layout.PanelWidth, lane = row % Layout.PanelWidth;
        for (int block = 0; block < Layout.NumBlocks; block++)
        {
            byte* source = Panel(block, panel);
            int depth = Layout.Depth(block);
            for (int k = 0; k < depth; k++, destination++)
                *destination = Storage == ElementType.F32
                    ? ((float*)source)[k * Layout.PanelWidth + lane]
                    : PackedHalf.Decode(((ushort*)source)[k * Layout.PanelWidth + lane]);
        }
        _outliers.AddTo(row, destination - InFeatures);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _panels.Dispose();
    }

    private protected override ParallelJob CreateFillRandomJob(ulong seed, float amplitude) => new FillRandomJob(this, seed, amplitude);

    private void ClearMissingRows()
    {
        // Their products are computed and dropped; as NaN or subnormals they could be slow, and their sum must not raise anything.
        if (OutFeatures % Layout.PanelWidth == 0)
            return;
        for (int block = 0; block < Layout.NumBlocks; block++)
            NativeMemory.Clear(Panel(block, Layout.NumPanels - 1), (nuint)(Layout.Depth(block) * Layout.PanelWidth * Storage.SizeInBytes()));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void StoreHalf(ushort half, ushort* destination, int row, int input)
    {
        if (!PackedHalf.TryEncode(half, out *destination))
            _outliers.Add(row, input, BitConverter.UInt16BitsToHalf(half));
    }

    /// <summary>Element (row, k) is a hash of the seed and row * inFeatures + k, whichever thread computes it.</summary>
    private sealed class FillRandomJob(CpuLinearWeight weight, ulong seed, float amplitude) : ParallelJob
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public override void Execute(int part, int numParts)
        {
            PanelLayout layout = weight.Layout;
            (int first, int end) = Share(layout.NumPanels, part, numParts);
            weight._outliers.Forget(first * layout.PanelWidth, end * layout.PanelWidth);
            Span<float> lanes = stackalloc float[layout.PanelWidth];
            Span<Half> halves = stackalloc Half[layout.PanelWidth];
            for (int block = 0; block < layout.NumBlocks; block++)
                for (int panel = first; panel < end; panel++)
                {
                    byte* destination = weight.Panel(block, panel);
                    int row = panel * layout.PanelWidth, count = Math.Min(layout.PanelWidth, layout.OutFeatures - row);
                    for (int k = 0; k < layout.Depth(block); k++)
                    {
                        ulong index = (ulong)row * (ulong)layout.InFeatures + (ulong)(block * PanelLayout.BlockDepth + k);
                        for (int lane = 0; lane < count; lane++, index += (ulong)layout.InFeatures)
                            lanes[lane] = Uniform(index) * amplitude;
                        if (weight.Storage == ElementType.F32)
                            lanes[..count].CopyTo(new Span<float>((float*)destination + k * layout.PanelWidth, count));
                        else
                        {
                            TensorPrimitives.ConvertToHalf(lanes[..count], halves);
                            for (int lane = 0; lane < count; lane++)
                                weight.StoreHalf(BitConverter.HalfToUInt16Bits(halves[lane]), (ushort*)destination + k * layout.PanelWidth + lane, row + lane, block * PanelLayout.BlockDepth + k);
                        }
                    }
                }
        }

        /// <summary>24 bits, spread over [-1, 1).</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private float Uniform(ulong index) => (int)(Hash(seed, index) >> 40) * (1f / (1 << 23)) - 1;
    }
}
