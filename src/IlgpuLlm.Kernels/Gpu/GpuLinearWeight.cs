using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// A matrix in row-major order, as in a checkpoint: [outFeatures, inFeatures], and a bias of floats. Gate and up may lie in blocks of rows by turns, so
/// that the lane of a tensor-core product that has a gate has its up as well.
/// </summary>
internal sealed class GpuLinearWeight : LinearWeight
{
    /// <summary>The rows of a block of gates or ups where they lie by turns: a lane of a product that has a gate then has its up.</summary>
    public const int GateUpBlock = 8;

    private readonly GpuDevice _device;
    private readonly FillRandomKernel _fillRandom;

    public GpuLinearWeight(GpuDevice device, FillRandomKernel fillRandom, int outFeatures, int inFeatures, ElementType storage, bool hasBias, int? upOffset = null)
        : base(outFeatures, inFeatures, storage, hasBias)
    {
        _device = device;
        _fillRandom = fillRandom;
        UpOffset = upOffset ?? Math.Max(1, outFeatures / 2);
        Matrix = GpuBuffer.Allocate(device, storage, (long)outFeatures * inFeatures);
        if (hasBias)
            Bias = GpuBuffer.Allocate(device, ElementType.F32, outFeatures);
    }

    /// <summary>Describes rows that lie in memory of others, who free it.</summary>
    public GpuLinearWeight(GpuDevice device, FillRandomKernel fillRandom, GpuBuffer matrix, GpuBuffer? bias, int outFeatures, int inFeatures, int upOffset)
        : base(outFeatures, inFeatures, matrix.Type, bias is not null)
    {
        _device = device;
        _fillRandom = fillRandom;
        UpOffset = upOffset;
        Matrix = matrix;
        Bias = bias;
    }

    /// <summary>[outFeatures, inFeatures].</summary>
    public GpuBuffer Matrix { get; }

    /// <summary>Of gate and up: the rows of a block, which is also how many rows after its gate row an up row lies.</summary>
    public int UpOffset { get; }

    /// <summary>F32, [outFeatures].</summary>
    public GpuBuffer? Bias { get; }

    /// <inheritdoc/>
    public override long ByteLength => LengthInBytes(OutFeatures, InFeatures, Storage, HasBias);

    /// <summary>What such a weight takes.</summary>
    public static long LengthInBytes(int outFeatures, int inFeatures, ElementType storage, bool hasBias) =>
        (long)outFeatures * inFeatures * storage.SizeInBytes() + (hasBias ? (long)outFeatures * sizeof(float) : 0);

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
        _fillRandom.Launch(Matrix, seed, amplitude);
        if (Bias is not null)
            LoadBias(0, new float[OutFeatures]);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Matrix.Dispose();
        Bias?.Dispose();
    }

    /// <inheritdoc/>
    protected override void LoadRowsCore(int firstRow, int numRows, ElementType sourceType, ReadOnlySpan<byte> source) =>
        LoadElements(Matrix, firstRow, numRows, InFeatures, sourceType, source);

    private void LoadElements(GpuBuffer target, int firstRow, int numRows, int width, ElementType sourceType, ReadOnlySpan<byte> source)
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
        var staging = _device.RentStaging();
        try
        {
            for (int row = firstRow, count; row < firstRow + numRows; row += count)
            {
                var (first, isUp) = row < half ? (row, 0) : (row - half, 1);
                int inBlock = first % UpOffset;
                int most = Math.Min(StagingBuffer.HalfByteLength / rowBytes, Math.Min(firstRow + numRows - row, half - first));
                count = inBlock > 0 || most < UpOffset ? Math.Min(UpOffset - inBlock, most) : most - most % UpOffset;
                Convert(source.Slice((row - firstRow) * sourceRowBytes, count * sourceRowBytes), sourceType, staging.NextHalf()[..(count * rowBytes)], target.Type);
                int runRows = Math.Min(count, UpOffset);
                long targetRow = (2L * (first / UpOffset) + isUp) * UpOffset + inBlock;
                staging.CopyToDevice(target.Address + (nint)(targetRow * rowBytes), runRows * rowBytes, count / runRows, 2 * UpOffset * rowBytes);
            }
            staging.Publish();
        }
        finally
        {
            _device.ReturnStaging(staging);
        }
    }

    /// <summary>Converts stretch by stretch while the stretch before is being copied: beside the mapped source, a thread holds one staging buffer.</summary>
    private void LoadElements(GpuBuffer target, long first, ElementType sourceType, ReadOnlySpan<byte> source)
    {
        int sourceSize = sourceType.SizeInBytes(), targetSize = target.Type.SizeInBytes();
        int stretch = StagingBuffer.HalfByteLength / targetSize;
        var staging = _device.RentStaging();
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
            _device.ReturnStaging(staging);
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
