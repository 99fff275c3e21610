using System.Buffers;
using System.Runtime.InteropServices;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>Memory for some rows of codes on their way from a checkpoint to a weight.</summary>
internal readonly struct QuantizedRowsBuffer : IDisposable
{
    private readonly byte[] _codes;
    private readonly byte[] _zeros;
    private readonly byte[] _scales;
    private readonly int _numRows;
    private readonly int _inFeatures;
    private readonly int _numGroups;

    public QuantizedRowsBuffer(int numRows, int inFeatures, int numGroups)
    {
        (_numRows, _inFeatures, _numGroups) = (numRows, inFeatures, numGroups);
        _codes = ArrayPool<byte>.Shared.Rent(numRows * inFeatures);
        _zeros = ArrayPool<byte>.Shared.Rent(numRows * numGroups);
        _scales = ArrayPool<byte>.Shared.Rent(numRows * numGroups * sizeof(ushort));
    }

    /// <summary>[numRows, inFeatures].</summary>
    public Span<byte> Codes => _codes.AsSpan(0, _numRows * _inFeatures);

    /// <summary>The same, for several threads.</summary>
    public ReadOnlyMemory<byte> CodeMemory => _codes.AsMemory(0, _numRows * _inFeatures);

    /// <summary>[numRows, numGroups].</summary>
    public Span<Half> Scales => MemoryMarshal.Cast<byte, Half>(_scales.AsSpan(0, _numRows * _numGroups * sizeof(ushort)));

    /// <summary>[numRows, numGroups].</summary>
    public Span<byte> Zeros => _zeros.AsSpan(0, _numRows * _numGroups);

    /// <summary>The same, for several threads.</summary>
    public ReadOnlyMemory<byte> ZeroMemory => _zeros.AsMemory(0, _numRows * _numGroups);

    /// <summary>All rows.</summary>
    public QuantizedRows Rows => new(Codes, Scales, Zeros);

    /// <summary>What the codes stand for.</summary>
    /// <param name="inputOrder">The input of each code; empty: in order.</param>
    /// <param name="values">[numRows, inFeatures], inputs in order.</param>
    public void Dequantize(ReadOnlySpan<int> inputOrder, Span<float> values)
    {
        Span<byte> codes = Codes, zeros = Zeros;
        Span<Half> scales = Scales;
        int groupLength = _inFeatures / _numGroups;
        for (int row = 0; row < _numRows; row++)
            for (int k = 0; k < _inFeatures; k++)
            {
                int group = row * _numGroups + k / groupLength;
                int input = inputOrder.IsEmpty ? k : inputOrder[k];
                values[row * _inFeatures + input] = (codes[row * _inFeatures + k] - zeros[group]) * (float)scales[group];
            }
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_codes);
        ArrayPool<byte>.Shared.Return(_zeros);
        ArrayPool<byte>.Shared.Return(_scales);
    }
}
