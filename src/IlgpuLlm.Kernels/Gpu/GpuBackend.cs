using System.Runtime.InteropServices;
using ILGPU.Runtime.Cuda;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// ILGPU kernels: the same C# on CUDA devices and on ILGPU's CPU accelerator, and beside it kernels of PTX instructions for tensor cores. F32 weights are
/// multiplied in IEEE single precision (as TF32 where that is allowed). F16 weights are multiplied with F16 activations where there are tensor cores and the model's sizes suit
/// them (<see cref="ActivationType"/>), otherwise with F32 activations; sums are floats. An operation allocates nothing.
/// </summary>
public sealed partial class GpuBackend : Backend
{
    private readonly GpuDevice _device;
    private readonly GatherRowsKernel _gatherRows;
    private readonly RmsNormKernel _rmsNorm;
    private readonly GemvKernel _gemv;
    private readonly NormGemvKernel _normGemv;
    private readonly LinearKernel _linear;
    private readonly SimtLinearKernel? _simtLinear;
    private readonly MmaLinearKernel? _mmaLinear;
    private readonly HopperLinearKernel? _hopperLinear;
    private readonly MmaLinearKernel? _mmaTf32;
    private readonly HopperLinearKernel? _hopperTf32;
    private readonly RotaryKernel _rotary;
    private readonly AttentionKernel _attention;
    private readonly HalfAttentionKernels? _halfAttention;
    private readonly FloatFlashKernel? _floatFlash;
    private readonly FloatDecodeKernel? _floatDecode;
    private readonly SiluMulKernel _siluMul;
    private readonly SampleKernel _sample;
    private readonly FillRandomKernel _fillRandom;
    private readonly QuantizedFillKernel _quantizedFill;
    private readonly QuantizedPlainKernel _quantizedPlain;
    private readonly QuantizedStreamKernel? _quantizedStream;
    private readonly HopperQuantizedKernel? _hopperQuantized;
    private readonly DequantizeKernel? _dequantize;
    private readonly ReorderKernel _reorder;
    private GpuBuffer? _dequantized; // F16, the largest matrix of the model
    private GpuBuffer? _reordered; // F16, [as many rows as stream, the widest row]

    private GpuBackend(GpuDevice device, bool allowTf32, bool batchInvariant)
    {
        _device = device;
        IsBatchInvariant = batchInvariant;
        _gatherRows = new(device);
        _rmsNorm = new(device);
        _gemv = new(device);
        _normGemv = new(device);
        _linear = new(device, batchInvariant);
        _simtLinear = device is CudaGpuDevice { HasTensorCores: true } floats ? new(floats, batchInvariant) : null; // tensor cores or not: cp.async came with sm_80
        _mmaLinear = device is CudaGpuDevice { HasTensorCores: true } cuda ? new(cuda) : null;
        _hopperLinear = device is CudaGpuDevice { IsHopper: true } hopper ? new(hopper, isTf32: false, batchInvariant) : null;
        _hopperTf32 = allowTf32 && device is CudaGpuDevice { IsHopper: true } hopperTf32 ? new(hopperTf32, isTf32: true, batchInvariant) : null;
        _mmaTf32 = allowTf32 && device is CudaGpuDevice { HasTensorCores: true, IsHopper: false } mmaTf32 ? new(mmaTf32, isTf32: true) : null;
        _rotary = new(device);
        _attention = new(device);
        _halfAttention = device is CudaGpuDevice { HasTensorCores: true } halves ? new(halves, _rotary, batchInvariant) : null;
        _floatFlash = device is CudaGpuDevice { HasTensorCores: true } ? new(device) : null; // as for products of floats
        _floatDecode = device is CudaGpuDevice && !batchInvariant ? new(device) : null;
        _siluMul = new(device);
        _sample = new(device);
        _fillRandom = new(device);
        _quantizedFill = new(device);
        _quantizedPlain = new(device);
        _hopperQuantized = device is CudaGpuDevice { IsHopper: true } hopperQuantized ? new(hopperQuantized, batchInvariant) : null;
        _quantizedStream = device is CudaGpuDevice { HasTensorCores: true } quantized ? new(quantized) : null;
        _dequantize = device is CudaGpuDevice { HasTensorCores: true } codes ? new(codes) : null;
        _reorder = new(device);
    }

    /// <inheritdoc/>
    public override string Device => _device.Name;

    /// <inheritdoc/>
    public override string Description => _device.Description;

    /// <inheritdoc/>
    public override bool IsHostMemory => _device is IlgpuCpuDevice;

    /// <inheritdoc/>
    public override bool MultipliesTf32 => _hopperTf32 is not null || _mmaTf32 is not null;

    /// <inheritdoc/>
    public override bool IsBatchInvariant { get; }

    /// <inheritdoc/>
    public override long NumAllocations => _device.NumAllocations;

    /// <summary>The CUDA devices of this machine; none where there is no driver. Never throws.</summary>
    public static IReadOnlyList<CudaDeviceInfo> CudaDevices() =>
        [.. CudaGpuDevice.List().Select(d => new CudaDeviceInfo(d.DeviceId, d.Name, d.MemorySize))];

    /// <summary>Opens a CUDA device and compiles the kernels for it.</summary>
    /// <param name="index">Which one.</param>
    /// <param name="allowTf32">Whether products of F32 may be made of TF32 values, on tensor cores.</param>
    /// <param name="batchInvariant">Whether operations have one order of additions whatever the batch (<see cref="Backend.IsBatchInvariant"/>): slower.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such device.</exception>
    public static GpuBackend CreateCuda(int index, bool allowTf32 = false, bool batchInvariant = false) =>
        Create(CudaGpuDevice.Create(index), allowTf32, batchInvariant);

    /// <summary>Opens ILGPU's CPU accelerator. It tests kernels and is far too slow to run models: that is what the CPU backend is for.</summary>
    /// <param name="batchInvariant">As for <see cref="CreateCuda"/>.</param>
    public static GpuBackend CreateIlgpuCpu(bool batchInvariant = false) => CreateIlgpuCpu(lanes: 1, batchInvariant);

    /// <summary>The CPU accelerator with groups of a few lanes, to test what lanes do together: a barrier costs up to a millisecond there.</summary>
    internal static GpuBackend CreateIlgpuCpu(int lanes, bool batchInvariant = false) => Create(IlgpuCpuDevice.Create(lanes), allowTf32: false, batchInvariant);

    /// <inheritdoc/>
    public override DeviceMemory QueryMemory() => _device.QueryMemory();

    /// <inheritdoc/>
    public override DeviceBuffer Allocate(ElementType type, long length) => GpuBuffer.Allocate(_device, type, length);

    /// <inheritdoc/>
    public override LinearWeight CreateLinear(int outFeatures, int inFeatures, ElementType storage, bool hasBias) =>
        CreateWeight(outFeatures, inFeatures, storage, hasBias, upOffset: null);

    /// <inheritdoc/>
    public override long LinearByteLength(int outFeatures, int inFeatures, ElementType storage, bool hasBias) =>
        GpuLinearWeight.LengthInBytes(outFeatures, inFeatures, storage, hasBias);

    /// <inheritdoc/>
    public override LinearWeight CreateGateUp(ModelShape model, bool hasBias) => CreateWeight(
        checked(2 * model.IntermediateSize), model.HiddenSize, model.Weights, hasBias, FusesGateUp(model) ? GpuWeight.GateUpBlock : null);

    /// <inheritdoc/>
    public override ElementType ActivationType(ModelShape model) =>
        model.Weights == ElementType.F16 && _halfAttention is not null && _halfAttention.Supports(model.Attention)
        && model.HiddenSize % MmaLinearKernel.TileK == 0 && model.IntermediateSize % MmaLinearKernel.TileK == 0 && model.Attention.QueryWidth % MmaLinearKernel.TileK == 0
            ? ElementType.F16
            : ElementType.F32;

    /// <inheritdoc/>
    public override bool WidensCache(ModelShape model) => model.KvCache == ElementType.U8 && ActivationType(model) == ElementType.F16;

    /// <inheritdoc/>
    public override long WorkspaceByteLength(WorkspaceShape shape) =>
        base.WorkspaceByteLength(shape) + (ActivationType(shape.Model) == ElementType.F16 ? _halfAttention!.WorkspaceBytes(shape) : 0)
        + (DequantizedLength(shape) + ReorderedLength(shape)) * ElementType.F16.SizeInBytes()
        + (DecodesFloats(shape.Model) ? FloatDecodeKernel.WorkspaceBytes(shape.MaxSeqs, shape.Model.Attention) : 0);

    /// <inheritdoc/>
    public override void FinishOpening() => _device.WaitForKernels();

    /// <inheritdoc/>
    public override void ReserveWorkspace(WorkspaceShape shape)
    {
        FinishOpening();
        base.ReserveWorkspace(shape);
        if (shape.Model.KvCache == ElementType.U8)
        {
            _rotary.PrepareCodes(ActivationType(shape.Model));
            if (ActivationType(shape.Model) == ElementType.F32)
                _attention.PrepareCodes();
        }
        if (ActivationType(shape.Model) == ElementType.F16)
            _halfAttention!.Reserve(shape);
        else if (_floatFlash is not null && FloatFlashKernel.Supports(shape.Model.Attention))
            _floatFlash.Prepare(shape.Model.Attention, shape.Model.KvCache);
        ReserveQuantized(shape);
        if (DecodesFloats(shape.Model))
            _floatDecode!.Reserve(shape.MaxSeqs, shape.Model.Attention, shape.Model.KvCache);
    }

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<float> source, DeviceBuffer destination) =>
        Upload(MemoryMarshal.AsBytes(source), ElementType.F32, source.Length, destination);

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<int> source, DeviceBuffer destination) =>
        Upload(MemoryMarshal.AsBytes(source), ElementType.I32, source.Length, destination);

    /// <inheritdoc/>
    public override void Download(DeviceBuffer source, Span<float> destination) => Download(source, ElementType.F32, MemoryMarshal.AsBytes(destination), destination.Length);

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<Half> source, DeviceBuffer destination) =>
        Upload(MemoryMarshal.AsBytes(source), ElementType.F16, source.Length, destination);

    /// <inheritdoc/>
    public override void Download(DeviceBuffer source, Span<Half> destination) => Download(source, ElementType.F16, MemoryMarshal.AsBytes(destination), destination.Length);

    /// <inheritdoc/>
    public override void Upload(ReadOnlySpan<byte> source, DeviceBuffer destination) => Upload(source, ElementType.U8, source.Length, destination);

    /// <inheritdoc/>
    public override void Download(DeviceBuffer source, Span<byte> destination) => Download(source, ElementType.U8, destination, destination.Length);

    /// <inheritdoc/>
    public override void Copy(DeviceBuffer source, DeviceBuffer destination)
    {
        ShapeChecks.Transfer(destination, source.Type, source.Length, nameof(destination));
        if (source.Length > 0)
            _device.CopyOnDevice(_device.Own(source).Address, _device.Own(destination).Address, source.ByteLength);
    }

    /// <inheritdoc/>
    public override void Synchronize() => _device.Stream.Synchronize();

    /// <inheritdoc/>
    public override bool SupportsGraphs => true;

    /// <inheritdoc/>
    public override DeviceGraph CaptureGraph(Action operations) =>
        _device is CudaGpuDevice cuda ? new CudaGraph((CudaStream)_device.Stream, cuda.HasDependentLaunch, operations) : new ReplayedGraph(operations);

    /// <inheritdoc/>
    public override DeviceStepTimer? CreateStepTimer() => _device is CudaGpuDevice cuda ? new CudaStepTimer(cuda) : null;

    /// <inheritdoc/>
    public override void EmbeddingLookup(LinearWeight table, DeviceBuffer tokenIds, DeviceBuffer hidden, int numTokens) =>
        _gatherRows.Launch(Own(table).Matrix, _device.Own(tokenIds), _device.Own(hidden), numTokens, table.InFeatures);

    /// <inheritdoc/>
    public override void RmsNorm(DeviceBuffer x, DeviceBuffer weight, DeviceBuffer output, int numRows, float epsilon) =>
        _rmsNorm.Launch(_device.Own(x), _device.Own(weight), _device.Own(output), numRows, epsilon);

    /// <inheritdoc/>
    public override void Linear(LinearWeight weight, DeviceBuffer input, DeviceBuffer output, int numRows)
    {
        var (x, y) = (_device.Own(input), _device.Own(output));
        CheckLinear(weight, x, numRows);
        ShapeChecks.Activations(y, numRows, weight.OutFeatures, nameof(output));
        Launch(weight, x, y, numRows, y.Type == ElementType.F16 ? LinearEpilogue.Halves : LinearEpilogue.Floats);
    }

    /// <inheritdoc/>
    public override void LinearAdd(LinearWeight weight, DeviceBuffer input, DeviceBuffer residual, int numRows)
    {
        var (x, y) = (_device.Own(input), _device.Own(residual));
        CheckLinear(weight, x, numRows);
        ShapeChecks.Buffer(y, ElementType.F32, numRows, weight.OutFeatures, nameof(residual));
        Launch(weight, x, y, numRows, LinearEpilogue.Residual);
    }

    /// <inheritdoc/>
    public override void LinearSiluMul(LinearWeight weight, DeviceBuffer input, DeviceBuffer output, int numRows)
    {
        var (x, y) = (_device.Own(input), _device.Own(output));
        CheckLinear(weight, x, numRows);
        ShapeChecks.Activations(y, numRows, weight.OutFeatures / 2, nameof(output));
        if (OwnQuantized(weight) is { } quantized)
        {
            Launch(quantized, x, y, numRows, LinearEpilogue.GateUp);
            return;
        }
        var matrix = Own(weight);
        bool isFusedFloats = _simtLinear is not null && matrix.UpOffset == GpuWeight.GateUpBlock && SimtLinearKernel.Supports(matrix, x);
        if (UsesGemv(matrix, x, numRows) || x.Type == ElementType.F16 || isFusedFloats)
            Launch(matrix, x, y, numRows, LinearEpilogue.GateUp);
        else
            base.LinearSiluMul(weight, input, output, numRows);
    }

    /// <inheritdoc/>
    public override void SiluMul(DeviceBuffer gateUp, DeviceBuffer output, int numRows, int width) =>
        _siluMul.Launch(_device.Own(gateUp), _device.Own(output), numRows, width);

    /// <inheritdoc/>
    public override void GatherRows(DeviceBuffer source, DeviceBuffer indices, DeviceBuffer output, int numRows, int width)
    {
        ShapeChecks.Buffer(source, ElementType.F32, 0, 0, nameof(source));
        _gatherRows.Launch(_device.Own(source), _device.Own(indices), _device.Own(output), numRows, width);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        _hopperLinear?.Dispose();
        _hopperTf32?.Dispose();
        _hopperQuantized?.Dispose();
        _halfAttention?.Dispose();
        _floatDecode?.Dispose();
        _dequantized?.Dispose();
        _reordered?.Dispose();
        _device.Dispose();
    }

    private static GpuBackend Create(GpuDevice device, bool allowTf32, bool batchInvariant)
    {
        try
        {
            return new GpuBackend(device, allowTf32, batchInvariant);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    protected override long GateUpLength(WorkspaceShape shape) => FusesGateUp(shape.Model) ? 0 : base.GateUpLength(shape);

    /// <summary>Whether one kernel multiplies by gate and up and makes silu(gate) * up, whatever the number of rows.</summary>
    private bool FusesGateUp(ModelShape model) =>
        ActivationType(model) == ElementType.F16
        || (_simtLinear is not null && !MultipliesTf32 && model.Weights == ElementType.F32 && SimtLinearKernel.SupportsRows(model.HiddenSize)
            && model.IntermediateSize % GpuWeight.GateUpBlock == 0 && model.IntermediateSize > GpuWeight.GateUpBlock);

    private GpuLinearWeight CreateWeight(int outFeatures, int inFeatures, ElementType storage, bool hasBias, int? upOffset)
    {
        if (storage == ElementType.F32)
            _simtLinear?.Prepare();
        else if (_halfAttention is not null && !IsBatchInvariant) // activations are halves
            _normGemv.Prepare();
        return new GpuLinearWeight(_device, _fillRandom, outFeatures, inFeatures, storage, hasBias, upOffset);
    }

    private static void CheckLinear(LinearWeight weight, GpuBuffer input, int numRows)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        ShapeChecks.Activations(input, numRows, weight.InFeatures, nameof(input));
    }

    private void Launch(LinearWeight weight, GpuBuffer input, GpuBuffer output, int numRows, LinearEpilogue epilogue)
    {
        if (OwnQuantized(weight) is { } quantized)
            Launch(quantized, input, output, numRows, epilogue);
        else
            Launch(Own(weight), input, output, numRows, epilogue);
    }

    private void Launch(GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, int numRows, LinearEpilogue epilogue)
    {
        if (numRows == 0)
            return;
        if (UsesGemv(weight, input, numRows))
            _gemv.Launch(weight, input, output, epilogue);
        else if (_hopperTf32 is not null && input.Type == ElementType.F32 && input.Address % 16 == 0 && _hopperTf32.Supports(weight, epilogue))
            _hopperTf32.Launch(weight, input, output, numRows, epilogue);
        else if (_mmaTf32 is not null && MmaLinearKernel.SupportsTf32(weight, input, epilogue))
            _mmaTf32.Launch(weight, input, output, numRows, epilogue);
        else if (_simtLinear is not null && output.Type == ElementType.F32 && SimtLinearKernel.Supports(weight, input))
            _simtLinear.Launch(weight, input, output, numRows, epilogue);
        else if (_hopperLinear is not null && input.Type == ElementType.F16 && _hopperLinear.Supports(weight, epilogue))
            _hopperLinear.Launch(weight, input, output, numRows, epilogue);
        else if (_mmaLinear is not null && MmaLinearKernel.Supports(weight, input))
            _mmaLinear.Launch(weight, input, output, numRows, epilogue);
        else if (input.Type == ElementType.F32 && output.Type == ElementType.F32 && epilogue != LinearEpilogue.GateUp)
            _linear.Launch(weight, input, output, numRows, accumulate: epilogue == LinearEpilogue.Residual);
        else
            throw new ArgumentException($"no kernel multiplies {input.Type} rows of {weight.InFeatures} by {weight.Storage} weights into {output.Type}", nameof(input));
    }

    /// <summary>Whether one row has a kernel of its own, which adds in another order than those of several.</summary>
    private bool UsesGemv(GpuLinearWeight weight, GpuBuffer input, int numRows) => !IsBatchInvariant && GemvKernel.Supports(weight, input, numRows);

    private GpuLinearWeight Own(LinearWeight weight) =>
        weight is GpuLinearWeight own && own.Matrix.Device == _device
            ? own
            : throw new ArgumentException($"the weight does not belong to {Device}", nameof(weight));

    private void Download(DeviceBuffer source, ElementType type, Span<byte> bytes, int length)
    {
        ShapeChecks.Transfer(source, type, length, nameof(source));
        if (length > 0)
            _device.CopyToHost(_device.Own(source).Address, bytes);
    }

    private void Upload(ReadOnlySpan<byte> bytes, ElementType type, int length, DeviceBuffer destination)
    {
        ShapeChecks.Transfer(destination, type, length, nameof(destination));
        if (length > 0)
            _device.CopyToDevice(bytes, _device.Own(destination).Address);
    }
}
