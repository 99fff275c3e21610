namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// The machine's own processor: SIMD C# in the widest vectors that it has, over threads of the backend's own. The same inputs give the same bits for
/// any number of threads; another vector width may round differently.
/// </summary>
public sealed unsafe partial class CpuBackend : Backend
{
    internal const string DeviceName = "cpu";

    // Below this many multiply-adds (or elements of similar cost) waking the other threads costs more than they save: about 2 microseconds.
    private const long SmallestSplit = 32 * 1024;

    private readonly CpuThreadPool _pool;
    private readonly CpuKernels _kernels;
    private readonly CpuKernels _forBytes; // of codes of 8 bits and activations of 8 bits
    private readonly CpuActivations _activations;
    private long _numAllocations;
    private readonly LinearJob _linear;
    private readonly CopyJob _copy = new();
    private readonly EmbeddingJob _embedding = new();
    private readonly RmsNormJob _rmsNorm;
    private readonly SiluMulJob _siluMul;
    private readonly RotaryJob _rotary;
    private readonly AttentionJob _attention;

    /// <summary>Starts the threads.</summary>
    /// <param name="numThreads">
    /// The threads that work on an operation, the caller's included. 0 means the physical cores that the process may use (Linux), or else
    /// <see cref="Environment.ProcessorCount"/>.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="numThreads"/> is negative.</exception>
    /// <param name="activations">What quantized weights are multiplied with.</param>
    public CpuBackend(int numThreads = 0, CpuActivations activations = CpuActivations.Float32)
        : this(numThreads, CpuKernels.WidestFirst[0], activations, CpuKernels.ForBytes)
    {
    }

    internal CpuBackend(int numThreads, CpuKernels kernels, CpuActivations activations = CpuActivations.Float32, CpuKernels? forBytes = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(numThreads);
        _activations = activations;
        _kernels = kernels;
        _forBytes = forBytes ?? kernels;
        _pool = new CpuThreadPool(numThreads == 0 ? CpuTopology.CountPhysicalCores() : numThreads);
        _linear = new LinearJob(_kernels, _forBytes, NumThreads);
        _rmsNorm = new RmsNormJob(_kernels);
        _siluMul = new SiluMulJob(_kernels);
        _rotary = new RotaryJob(_kernels);
        _attention = new AttentionJob(_kernels);
    }

    /// <summary>The threads that work on an operation.</summary>
    public int NumThreads => _pool.NumThreads;

    /// <inheritdoc/>
    public override string Device => DeviceName;

    /// <inheritdoc/>
    public override string Description { get; } = CpuTopology.ReadModelName();

    /// <inheritdoc/>
    public override bool IsHostMemory => true;

    /// <inheritdoc/>
    public override bool IsBatchInvariant => true;

    /// <inheritdoc/>
    public override long NumAllocations => Interlocked.Read(ref _numAllocations);

    /// <inheritdoc/>
    public override DeviceMemory QueryMemory() => CpuMemory.Query();

    /// <summary>Allocates a <see cref="CpuBuffer"/>. Pages count as used once they are touched.</summary>
    /// <exception cref="DeviceOutOfMemoryException">The machine has not that much.</exception>
    public override DeviceBuffer Allocate(ElementType type, long length)
    {
        Interlocked.Increment(ref _numAllocations);
        return new CpuBuffer(type, length);
    }

    /// <inheritdoc/>
    public override LinearWeight CreateLinear(int outFeatures, int inFeatures, ElementType storage, bool hasBias)
    {
        Interlocked.Increment(ref _numAllocations);
        return new CpuLinearWeight(_pool, _kernels.PanelWidth, outFeatures, inFeatures, storage, hasBias);
    }

    /// <inheritdoc/>
    public override long LinearByteLength(int outFeatures, int inFeatures, ElementType storage, bool hasBias)
        => CpuLinearWeight.ComputeByteLength(new PanelLayout(outFeatures, inFeatures, _kernels.PanelWidth), storage, hasBias);

    /// <inheritdoc/>
    public override LinearWeight CreateQuantizedLinear(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder)
        => MultipliesDots(outFeatures, inFeatures, format)
            ? new CpuDotLinearWeight(_pool, ForDots(format).PanelWidth, outFeatures, inFeatures, format, hasBias, inputOrder)
            : new CpuQuantizedLinearWeight(_pool, _kernels.PanelWidth, outFeatures, inFeatures, format, hasBias, inputOrder);

    /// <inheritdoc/>
    public override long QuantizedLinearByteLength(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, bool isReordered)
    {
        PanelLayout Panels(CpuKernels kernels) => new(outFeatures, inFeatures, kernels.PanelWidth);
        return MultipliesDots(outFeatures, inFeatures, format)
            ? CpuDotLinearWeight.ComputeByteLength(Panels(ForDots(format)), format, hasBias, isReordered)
            : CpuQuantizedLinearWeight.ComputeByteLength(Panels(_kernels), format, hasBias, isReordered);
    }

    /// <summary>
    /// 8 bits in groups of 128, 64 or 32 where layers are quantized and meet 8-bit activations: read as floats, the output layer of a small model would take
    /// longer than all layers.
    /// </summary>
    public override QuantizationFormat? OutputQuantization(ModelShape model)
    {
        if (model.Quantization is null || _activations != CpuActivations.Int8)
            return null;
        int groupSize = Array.Find([128, 64, CpuDotLayout.BlockLength], size => model.HiddenSize % size == 0);
        return groupSize > 0 ? new QuantizationFormat(8, groupSize) : null;
    }

    /// <inheritdoc/>
    public override long WorkspaceByteLength(WorkspaceShape shape)
        => base.WorkspaceByteLength(shape) + NumThreads * AttentionScratch.ComputeByteLength(shape.Model.Attention);

    /// <inheritdoc/>
    public override void ReserveWorkspace(WorkspaceShape shape)
    {
        ShapeChecks.Attention(shape.Model.Attention);
        base.ReserveWorkspace(shape);
        foreach (AttentionScratch scratch in _attention.Scratch)
            scratch.Dispose();
        _attention.Scratch = [.. Enumerable.Range(0, NumThreads).Select(_ => new AttentionScratch(shape.Model.Attention))];
    }

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<float> source, DeviceBuffer destination)
    {
        ShapeChecks.Transfer(destination, ElementType.F32, source.Length, nameof(destination));
        source.CopyTo(new Span<float>(CpuBuffer.From(destination).Floats, source.Length));
    }

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<Half> source, DeviceBuffer destination)
    {
        ShapeChecks.Transfer(destination, ElementType.F16, source.Length, nameof(destination));
        source.CopyTo(new Span<Half>(CpuBuffer.From(destination).Halves, source.Length));
    }

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<int> source, DeviceBuffer destination)
    {
        ShapeChecks.Transfer(destination, ElementType.I32, source.Length, nameof(destination));
        source.CopyTo(new Span<int>(CpuBuffer.From(destination).Ints, source.Length));
    }

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<byte> source, DeviceBuffer destination)
    {
        ShapeChecks.Transfer(destination, ElementType.U8, source.Length, nameof(destination));
        source.CopyTo(new Span<byte>(CpuBuffer.From(destination).Pointer, source.Length));
    }

    /// <inheritdoc/>
    public override void Download(DeviceBuffer source, Span<float> destination)
    {
        ShapeChecks.Transfer(source, ElementType.F32, destination.Length, nameof(source));
        new ReadOnlySpan<float>(CpuBuffer.From(source).Floats, destination.Length).CopyTo(destination);
    }

    /// <inheritdoc/>
    public override void Download(DeviceBuffer source, Span<Half> destination)
    {
        ShapeChecks.Transfer(source, ElementType.F16, destination.Length, nameof(source));
        new ReadOnlySpan<Half>(CpuBuffer.From(source).Halves, destination.Length).CopyTo(destination);
    }

    /// <inheritdoc/>
    public override void Download(DeviceBuffer source, Span<byte> destination)
    {
        ShapeChecks.Transfer(source, ElementType.U8, destination.Length, nameof(source));
        new ReadOnlySpan<byte>(CpuBuffer.From(source).Pointer, destination.Length).CopyTo(destination);
    }

    /// <inheritdoc/>
    public override void Copy(DeviceBuffer source, DeviceBuffer destination)
    {
        ShapeChecks.Transfer(destination, source.Type, source.Length, nameof(destination));
        _copy.Source = CpuBuffer.From(source).Pointer;
        _copy.Destination = CpuBuffer.From(destination).Pointer;
        _copy.ByteLength = source.ByteLength;
        Run(_copy, source.Length);
    }

    /// <summary>Does nothing: every operation has ended when it returns.</summary>
    public override void Synchronize()
    {
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _pool.Dispose();
        _linear.Dispose();
        foreach (AttentionScratch scratch in _attention.Scratch)
            scratch.Dispose();
    }

    private bool MultipliesDots(int outFeatures, int inFeatures, QuantizationFormat format)
        => _activations == CpuActivations.Int8 && CpuDotLayout.Supports(format, inFeatures)
            && ForDots(format).CanMultiplyDots(new CpuDotLayout(new PanelLayout(outFeatures, inFeatures, ForDots(format).PanelWidth), format.Bits, format.GroupLength(inFeatures)));

    private CpuKernels ForDots(QuantizationFormat format) => format.Bits == 8 ? _forBytes : _kernels;

    private void Run(ParallelJob job, long work)
    {
        if (work < SmallestSplit)
            job.Execute(0, 1);
        else
            _pool.Run(job);
    }
}
