using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// What matrices on a GPU have in common: a bias of floats, and rows in the order of the checkpoint, or gate and up in blocks of rows by turns, so that the
/// lane of a tensor-core product that has a gate has its up as well.
/// </summary>
internal abstract class GpuWeight : LinearWeight
{
    /// <summary>The rows of a block of gates or ups where they lie by turns: a lane of a product that has a gate then has its up.</summary>
    public const int GateUpBlock = 8;

    /// <param name="device">The device.</param>
    /// <param name="outFeatures">Rows.</param>
    /// <param name="inFeatures">Columns.</param>
    /// <param name="storage">The type of the values.</param>
    /// <param name="hasBias">Whether a bias is allocated.</param>
    /// <param name="quantization">How the matrix is quantized; null: it is not.</param>
    /// <param name="upOffset">The rows of a block of gates or ups; null: all of them.</param>
    protected GpuWeight(
        GpuDevice device, int outFeatures, int inFeatures, ElementType storage, bool hasBias, QuantizationFormat? quantization, int? upOffset)
        : this(device, outFeatures, inFeatures, storage, hasBias ? GpuBuffer.Allocate(device, ElementType.F32, outFeatures) : null, quantization, upOffset)
    {
    }

    /// <summary>The same with a bias that is there.</summary>
    protected GpuWeight(
        GpuDevice device, int outFeatures, int inFeatures, ElementType storage, GpuBuffer? bias, QuantizationFormat? quantization, int? upOffset)
        : base(outFeatures, inFeatures, storage, bias is not null, quantization)
    {
        Device = device;
        Bias = bias;
        UpOffset = upOffset ?? Math.Max(1, outFeatures / 2);
    }

    /// <summary>The device that the memory belongs to.</summary>
    public GpuDevice Device { get; }

    /// <summary>F32, [outFeatures].</summary>
    public GpuBuffer? Bias { get; }

    /// <summary>Of gate and up: the rows of a block, which is also how many rows after its gate row an up row lies.</summary>
    public int UpOffset { get; }

    /// <summary>Where a row of the checkpoint lies.</summary>
    public int PlaceOf(int row)
    {
        int half = OutFeatures / 2;
        if (UpOffset >= half)
            return row;
        var (first, isUp) = row < half ? (row, 0) : (row - half, 1);
        return (2 * (first / UpOffset) + isUp) * UpOffset + first % UpOffset;
    }

    /// <inheritdoc/>
    public override void LoadBias(int first, ReadOnlySpan<float> values)
    {
        if (Bias is null)
            throw new ArgumentException("this weight has no bias", nameof(values));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, OutFeatures - values.Length);
        if (!values.IsEmpty)
            LoadElements(Bias, first, values.Length, 1, ElementType.F32, MemoryMarshal.AsBytes(values));
    }

    /// <inheritdoc/>
    public override void FillRandom(ulong seed, float amplitude)
    {
        FillMatrix(seed, amplitude);
        if (Bias is not null)
            LoadBias(0, new float[OutFeatures]);
    }

    /// <inheritdoc/>
    public override void Dispose() => Bias?.Dispose();

    /// <summary>Fills the matrix as <see cref="LinearWeight.FillRandom"/> says.</summary>
    protected abstract void FillMatrix(ulong seed, float amplitude);

    /// <summary>Converts rows and copies them to their places.</summary>
    protected void LoadElements(GpuBuffer target, int firstRow, int numRows, int width, ElementType sourceType, ReadOnlySpan<byte> source)
    {
        if (UpOffset >= OutFeatures / 2)
            LoadElements(target, (long)firstRow * width, sourceType, source);
        else
            LoadBlocks(target, firstRow, numRows, width, sourceType, source);
    }

    /// <summary>Loads rows into the blocks that they belong to: whole blocks together, as runs of a strided copy, a part of one alone.</summary>
    private void LoadBlocks(GpuBuffer target, int firstRow, int numRows, int width, ElementType sourceType, ReadOnlySpan<byte> source)
    {
        int half = OutFeatures / 2, sourceRowBytes = width * sourceType.SizeInBytes(), rowBytes = width * target.Type.SizeInBytes();
        var staging = Device.RentStaging();
        try
        {
            for (int row = firstRow, count; row < firstRow + numRows; row += count)
            {
                int first = row < half ? row : row - half, inBlock = first % UpOffset;
                int most = Math.Min(StagingBuffer.HalfByteLength / rowBytes, Math.Min(firstRow + numRows - row, half - first));
                count = inBlock > 0 || most < UpOffset ? Math.Min(UpOffset - inBlock, most) : most - most % UpOffset;
                Convert(source.Slice((row - firstRow) * sourceRowBytes, count * sourceRowBytes), sourceType, staging.NextHalf()[..(count * rowBytes)], target.Type);
                int runRows = Math.Min(count, UpOffset);
                staging.CopyToDevice(target.Address + (nint)((long)PlaceOf(row) * rowBytes), runRows * rowBytes, count / runRows, 2 * UpOffset * rowBytes);
            }
            staging.Publish();
        }
        finally
        {
            Device.ReturnStaging(staging);
        }
    }

    /// <summary>Converts stretch by stretch while the stretch before is being copied: beside the mapped source, a thread holds one staging buffer.</summary>
    private void LoadElements(GpuBuffer target, long first, ElementType sourceType, ReadOnlySpan<byte> source)
    {
        int sourceSize = sourceType.SizeInBytes(), targetSize = target.Type.SizeInBytes();
        int stretch = StagingBuffer.HalfByteLength / targetSize;
        var staging = Device.RentStaging();
        try
        {
            while (!source.IsEmpty)
            {
                int count = Math.Min(stretch, source.Length / sourceSize);
                Convert(source[..(count * sourceSize)], sourceType, staging.NextHalf()[..(count * targetSize)], target.Type);
                staging.CopyToDevice(target.Address + (nint)(first * targetSize), count * targetSize);
                source = source[(count * sourceSize)..];
                first += count;
            }
            staging.Publish();
        }
        finally
        {
            Device.ReturnStaging(staging);
        }
    }

    private static void Convert(ReadOnlySpan<byte> source, ElementType sourceType, Span<byte> target, ElementType targetType)
    {
        if (targetType == ElementType.F32)
        {
            ElementConversion.ToFloats(source, sourceType, MemoryMarshal.Cast<byte, float>(target));
            return;
        }
        const int Segment = 4096; // its scratch of floats stays in the first-level cache
        Span<float> floats = stackalloc float[Segment];
        var halves = MemoryMarshal.Cast<byte, Half>(target);
        int size = sourceType.SizeInBytes();
        for (int i = 0; i < halves.Length; i += Segment)
        {
            int count = Math.Min(Segment, halves.Length - i);
            ElementConversion.ToHalves(source.Slice(i * size, count * size), sourceType, floats[..count], halves.Slice(i, count));
        }
    }
}
