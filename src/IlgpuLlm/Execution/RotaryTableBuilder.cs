using IlgpuLlm.Kernels;
using IlgpuLlm.Models;

namespace IlgpuLlm.Execution;

/// <summary>
/// Keeps the rotary table on the device. Row p is position p of a sequence that ends there. With dynamic scaling a long prompt's rows depend on its
/// length; they are written, each step, to scratch rows behind the others.
/// </summary>
internal sealed class RotaryTableBuilder : IDisposable
{
    private readonly Backend _backend;
    private readonly RotaryEmbedding _rotary;
    private readonly int _maxModelLen;
    private readonly int _headDim;
    private readonly DeviceBuffer _values;
    private readonly DeviceBuffer? _scratch;
    private readonly float[] _staging;
    private bool _scratchUsed;

    public RotaryTableBuilder(Backend backend, RotaryEmbedding rotary, int maxModelLen, int maxTokens, int headDim)
    {
        _backend = backend;
        _rotary = rotary;
        _maxModelLen = maxModelLen;
        _headDim = headDim;
        int numScratch = NumScratchRows(rotary, maxTokens);
        _values = backend.Allocate(ElementType.F32, (long)(maxModelLen + numScratch) * headDim);
        _scratch = numScratch > 0 ? _values.Slice((long)maxModelLen * headDim, (long)numScratch * headDim) : null;
        _staging = new float[numScratch * headDim];
        Table = new RotaryTable(_values, maxModelLen + numScratch, headDim);
        float[] rows = new float[maxModelLen * headDim];
        for (int position = 0; position < maxModelLen; position++)
            rotary.WriteRow(rows.AsSpan(position * headDim, headDim), position, position + 1);
        backend.Upload(rows, _values.Slice(0, rows.Length));
    }

    public RotaryTable Table { get; }

    public static long ByteLength(RotaryEmbedding rotary, int maxModelLen, int maxTokens, int headDim) =>
        (long)(maxModelLen + NumScratchRows(rotary, maxTokens)) * headDim * sizeof(float);

    /// <summary>The row for token <paramref name="index"/> of the step. Scratch rows take effect with <see cref="Upload"/>.</summary>
    public int RowFor(int index, int position, int numPromptTokens)
    {
        int length = RotaryEmbedding.FrequencyLength(position, numPromptTokens);
        if (length == position + 1 || !_rotary.IsScaledAt(length))
            return position;
        _rotary.WriteRow(_staging.AsSpan(index * _headDim, _headDim), position, length);
        _scratchUsed = true;
        return _maxModelLen + index;
    }

    /// <summary>Sends the scratch rows of this step, if there are any.</summary>
    public void Upload()
    {
        if (_scratchUsed)
            _backend.Upload(_staging, _scratch!);
        _scratchUsed = false;
    }

    public void Dispose() => _values.Dispose();

    private static int NumScratchRows(RotaryEmbedding rotary, int maxTokens) => rotary.IsDynamic ? maxTokens : 0;
}
