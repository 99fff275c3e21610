namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A matrix of elements in row-major order: [outFeatures, inFeatures].</summary>
internal sealed class GpuLinearWeight : GpuWeight
{
    private readonly FillRandomKernel _fillRandom;

    public GpuLinearWeight(GpuDevice device, FillRandomKernel fillRandom, int outFeatures, int inFeatures, ElementType storage, bool hasBias, int? upOffset = null)
        : base(device, outFeatures, inFeatures, storage, hasBias, quantization: null, upOffset)
    {
        _fillRandom = fillRandom;
        Matrix = GpuBuffer.Allocate(device, storage, (long)outFeatures * inFeatures);
    }

    /// <summary>Describes a matrix that lies in memory of others, who free it, with the bias and the order of rows of <paramref name="like"/>.</summary>
    public GpuLinearWeight(FillRandomKernel fillRandom, GpuBuffer matrix, GpuWeight like)
        : base(like.Device, like.OutFeatures, like.InFeatures, matrix.Type, like.Bias, quantization: null, like.UpOffset)
    {
        _fillRandom = fillRandom;
        Matrix = matrix;
    }

    /// <summary>[outFeatures, inFeatures].</summary>
    public GpuBuffer Matrix { get; }

    /// <inheritdoc/>
    public override long ByteLength => LengthInBytes(OutFeatures, InFeatures, Storage, HasBias);

    /// <summary>What such a weight takes.</summary>
    public static long LengthInBytes(int outFeatures, int inFeatures, ElementType storage, bool hasBias) =>
        (long)outFeatures * inFeatures * storage.SizeInBytes() + (hasBias ? (long)outFeatures * sizeof(float) : 0);

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        Matrix.Dispose();
    }

    /// <inheritdoc/>
    protected override void FillMatrix(ulong seed, float amplitude) => _fillRandom.Launch(Matrix, seed, amplitude);

    /// <inheritdoc/>
    protected override void LoadRowsCore(int firstRow, int numRows, ElementType sourceType, ReadOnlySpan<byte> source) =>
        LoadElements(Matrix, firstRow, numRows, InFeatures, sourceType, source);
}
