using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>A linear layer's matrix in panels as wide as two of the machine's vectors; see <see cref="PanelLayout"/>.</summary>
public abstract unsafe class CpuPanelWeight : LinearWeight
{
    private readonly CpuThreadPool _pool;
    private readonly NativeBlock? _bias, _inputOrder;

    private protected CpuPanelWeight(
        CpuThreadPool pool, PanelLayout layout, ElementType storage, bool hasBias, QuantizationFormat? quantization, ReadOnlySpan<int> inputOrder)
        : base(layout.OutFeatures, layout.InFeatures, storage, hasBias, quantization)
    {
        _pool = pool;
        Layout = layout;
        CheckInputOrder(inputOrder);
        if (!inputOrder.IsEmpty)
        {
            _inputOrder = new NativeBlock(OrderByteLength(layout, isReordered: true));
            inputOrder.CopyTo(new Span<int>((int*)_inputOrder.Pointer, inputOrder.Length));
        }
        if (hasBias)
        {
            _bias = new NativeBlock(BiasByteLength(layout, hasBias));
            ClearBias();
        }
    }

    internal PanelLayout Layout { get; }

    internal float* Bias => _bias is null ? null : (float*)_bias.Pointer;

    /// <summary>Where the features of an input row lie that the stored inputs belong to, [inFeatures]; null: in order.</summary>
    internal int* InputOrder => _inputOrder is null ? null : (int*)_inputOrder.Pointer;

    private protected static long OrderByteLength(PanelLayout layout, bool isReordered) => isReordered ? layout.InFeatures * (long)sizeof(int) : 0;

    private protected static long BiasByteLength(PanelLayout layout, bool hasBias) => hasBias ? layout.OutFeatures * (long)sizeof(float) : 0;

    /// <inheritdoc/>
    public override void LoadBias(int first, ReadOnlySpan<float> values)
    {
        if (_bias is null)
            throw new ArgumentException("this weight has no bias", nameof(values));
        if (first < 0 || first > OutFeatures - values.Length)
            throw new ArgumentOutOfRangeException(nameof(first), $"elements [{first}, {first + values.Length}) lie outside a bias of {OutFeatures}");
        values.CopyTo(new Span<float>(Bias + first, values.Length));
    }

    /// <inheritdoc/>
    public override void FillRandom(ulong seed, float amplitude)
    {
        _pool.Run(CreateFillRandomJob(seed, amplitude));
        if (_bias is not null)
            ClearBias();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _bias?.Dispose();
        _inputOrder?.Dispose();
    }

    /// <summary>What fills the panels: an element depends on the seed and its place alone, whichever thread computes it.</summary>
    private protected abstract ParallelJob CreateFillRandomJob(ulong seed, float amplitude);

    /// <summary>SplitMix64's output function; the upper bits are the better ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Hash(ulong seed, ulong index)
    {
        ulong z = seed * 0xD1342543DE82EF95 + (index + 1) * 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    private void ClearBias() => NativeMemory.Clear(Bias, (nuint)_bias!.ByteLength);
}
