using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>A linear layer's matrix of 4-bit or 8-bit codes that are multiplied with 8-bit activations; see <see cref="CpuDotLayout"/>.</summary>
public sealed unsafe partial class CpuDotLinearWeight : CpuPanelWeight
{
    private readonly NativeBlock _codes;
    private readonly PanelScales _scales;

    internal CpuDotLinearWeight(
        CpuThreadPool pool, int panelWidth, int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder)
        : base(pool, new PanelLayout(outFeatures, inFeatures, panelWidth), ElementType.F32, hasBias, format, inputOrder)
    {
        Dots = new CpuDotLayout(Layout, format.Bits, format.GroupLength(inFeatures));
        _codes = new NativeBlock(Dots.ByteLength, isDense: true);
        _scales = new PanelScales(Layout, Dots.NumGroups);
        if (outFeatures % panelWidth != 0) // products of missing rows are computed and dropped
            NativeMemory.Clear(Codes(Layout.NumPanels - 1), (nuint)(Dots.ByteLength / Layout.NumPanels));
    }

    /// <inheritdoc/>
    public override long ByteLength => ComputeByteLength(Layout, Quantization!, HasBias, InputOrder is not null);

    internal CpuDotLayout Dots { get; }

    internal static long ComputeByteLength(PanelLayout layout, QuantizationFormat format, bool hasBias, bool isReordered)
        => new CpuDotLayout(layout, format.Bits, format.GroupLength(layout.InFeatures)).ByteLength
            + PanelScales.ComputeByteLength(layout, format.NumGroups(layout.InFeatures))
            + OrderByteLength(layout, isReordered)
            + BiasByteLength(layout, hasBias);

    /// <summary>A group's codes for one vector of a panel's outputs.</summary>
    internal byte* Codes(int panel, int group = 0, int vector = 0)
    {
        ObjectDisposedException.ThrowIf(_codes.Pointer is null, this);
        return _codes.Pointer + Dots.Offset(panel, group, vector);
    }

    /// <summary>The scales of a panel's group: [panelWidth].</summary>
    internal Half* Scales(int panel, int group) => _scales.Scales(panel, group);

    /// <summary>The zero points of a panel's group: [panelWidth].</summary>
    internal byte* Zeros(int panel, int group) => _scales.Zeros(panel, group);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void LoadQuantizedRowsCore(int firstRow, int numRows, QuantizedRows source)
    {
        int width = Layout.PanelWidth, groupLength = Dots.GroupLength;
        byte* block = stackalloc byte[CpuDotLayout.BlockLength];
        for (int r = 0; r < numRows; r++)
        {
            int row = firstRow + r, lane = row % width;
            ReadOnlySpan<byte> codes = source.Codes.Slice(r * InFeatures, InFeatures);
            for (int group = 0; group < Dots.NumGroups; group++)
            {
                byte* target = Codes(row / width, group, lane / Dots.VectorLength) + lane % Dots.VectorLength * sizeof(int);
                for (int first = 0; first < groupLength; first += CpuDotLayout.BlockLength)
                {
                    int count = Math.Min(CpuDotLayout.BlockLength, groupLength - first);
                    new Span<byte>(block + count, CpuDotLayout.BlockLength - count).Clear();
                    codes.Slice(group * groupLength + first, count).CopyTo(new Span<byte>(block, count));
                    for (int k = 0; k < CpuDotLayout.BlockLength; k += Dots.InputsOfChunk, target += Dots.VectorLength * sizeof(int))
                        for (int j = 0; j < 4; j++)
                            target[j] = (byte)(Dots.Bits == 4 ? block[k + j] | block[k + 4 + j] << 4 : block[k + j]);
                }
            }
        }
        _scales.Load(firstRow, numRows, source);
    }

    /// <inheritdoc/>
    protected override void LoadRowsCore(int firstRow, int numRows, ElementType sourceType, ReadOnlySpan<byte> source) =>
        throw new NotSupportedException("a quantized weight takes codes");

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _codes.Dispose();
        _scales.Dispose();
    }

    private protected override ParallelJob CreateFillRandomJob(ulong seed, float amplitude) => new FillRandomCodesJob(this, seed, amplitude);
}
