namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Quantized weights.</summary>
public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override LinearWeight CreateQuantizedLinear(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder) =>
        CreateQuantized(outFeatures, inFeatures, format, hasBias, inputOrder, upOffset: null);

    /// <inheritdoc/>
    public override long QuantizedLinearByteLength(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, bool isReordered) =>
        GpuQuantizedWeight.LengthInBytes(outFeatures, inFeatures, format, hasBias, isReordered);

    /// <inheritdoc/>
    public override LinearWeight CreateQuantizedGateUp(ModelShape model, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder)
    {
        int? block = model.IntermediateSize % GpuWeight.GateUpBlock == 0 ? GpuWeight.GateUpBlock : null;
        return CreateQuantized(checked(2 * model.IntermediateSize), model.HiddenSize, format, hasBias, inputOrder, block);
    }

    private GpuQuantizedWeight CreateQuantized(
        int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder, int? upOffset) =>
        new(_device, _quantizedFill, outFeatures, inFeatures, format, hasBias, inputOrder, upOffset);

    /// <summary>A product's output.</summary>
    internal static QuantizedOutput QuantizedOutputOf(GpuQuantizedWeight weight, GpuBuffer output, int numRows) => new()
    {
        Floats = output.View<float>(),
        Halves = output.View<ushort>(),
        Bias = weight.Bias?.View<float>() ?? output.View<float>(),
        HasBias = weight.HasBias ? 1 : 0,
        NumRows = numRows,
        NumColumns = weight.OutFeatures,
        UpOffset = weight.UpOffset,
    };

    private void Launch(GpuQuantizedWeight weight, GpuBuffer input, GpuBuffer output, int numRows, LinearEpilogue epilogue)
    {
        if (numRows == 0)
            return;
        if (_quantizedStream is not null && QuantizedStreamKernel.Supports(weight, input, epilogue) && LaunchCodes(weight, input, output, numRows, epilogue))
            return;
        if (epilogue == LinearEpilogue.GateUp && input.Type != output.Type)
            throw new ArgumentException($"gate and up of {input.Type} rows make {input.Type}, not {output.Type}", nameof(output));
        _quantizedPlain.Launch(weight, input, QuantizedOutputOf(weight, output, numRows), epilogue);
    }

    /// <summary>
    /// Queues the product on tensor cores: few rows as the weight streams through, more as codes become wgmma's operands, and where that cannot be, many with halves;
    /// where it <see cref="IsBatchInvariant"/>, all of them with one kernel for codes. False where it needs workspace that there is not.
    /// </summary>
    private bool LaunchCodes(GpuQuantizedWeight weight, GpuBuffer input, GpuBuffer output, int numRows, LinearEpilogue epilogue)
    {
        bool isHopper = _hopperQuantized is not null && (numRows > QuantizedStreamKernel.TileRows || IsBatchInvariant) && HopperQuantizedKernel.Supports(weight, input, epilogue);
        bool isFew = numRows <= (_hopperQuantized is not null ? HopperQuantizedKernel.MaxNarrowRows : QuantizedStreamKernel.MaxRows);
        if (isFew || IsBatchInvariant || (isHopper && weight.InputOrder is null))
        {
            if (weight.InputOrder is { } order)
            {
                if (_reordered is null || _reordered.Length < (long)numRows * weight.InFeatures)
                    return false;
                _reorder.Launch(input, order, _reordered, numRows, weight.InFeatures);
                input = _reordered;
            }
            if (isHopper)
                _hopperQuantized!.Launch(weight, input, output, numRows, epilogue);
            else
                _quantizedStream!.Launch(weight, input, QuantizedOutputOf(weight, output, numRows), epilogue);
            return true;
        }
        if (_dequantized is null || _dequantized.Length < (long)weight.OutFeatures * weight.InFeatures)
            return false;
        // The workspace may have moved since the last product.
        if (weight.Dequantized?.Matrix != _dequantized)
            weight.Dequantized = new(_fillRandom, _dequantized, like: weight);
        if (_hopperLinear is not null && _hopperLinear.Supports(weight.Dequantized, epilogue))
        {
            _dequantize!.Launch(weight, _dequantized);
            _hopperLinear.Launch(weight.Dequantized, input, output, numRows, epilogue);
            return true;
        }
        if (_mmaLinear is null || !MmaLinearKernel.Supports(weight.Dequantized, input) || (epilogue == LinearEpilogue.Halves && weight.OutFeatures % 2 != 0))
            return false;
        _dequantize!.Launch(weight, _dequantized);
        _mmaLinear.Launch(weight.Dequantized, input, output, numRows, epilogue);
        return true;
    }

    private bool WidensCodes(ModelShape model) => model.Quantization is not null && ActivationType(model) == ElementType.F16;

    /// <summary>Elements of a model's largest matrix, if products are made with halves in place of codes.</summary>
    private long DequantizedLength(WorkspaceShape shape)
    {
        var model = shape.Model;
        return WidensCodes(model) && !IsBatchInvariant
            ? (long)model.HiddenSize * Math.Max(2 * model.IntermediateSize, Math.Max(model.Attention.QkvWidth, model.Attention.QueryWidth))
            : 0;
    }

    /// <summary>Elements of as many of the widest rows as are multiplied with codes.</summary>
    private long ReorderedLength(WorkspaceShape shape)
    {
        var model = shape.Model;
        long rows = IsBatchInvariant ? shape.MaxTokens : Math.Max(QuantizedStreamKernel.MaxRows, HopperQuantizedKernel.MaxNarrowRows);
        return WidensCodes(model) ? rows * Math.Max(model.HiddenSize, Math.Max(model.IntermediateSize, model.Attention.QueryWidth)) : 0;
    }

    private void ReserveQuantized(WorkspaceShape shape)
    {
        Reserve(ref _dequantized, DequantizedLength(shape));
        Reserve(ref _reordered, ReorderedLength(shape));

        void Reserve(ref GpuBuffer? buffer, long length)
        {
            buffer?.Dispose();
            buffer = length > 0 ? GpuBuffer.Allocate(_device, ElementType.F16, length) : null;
        }
    }

    private GpuQuantizedWeight? OwnQuantized(LinearWeight weight) =>
        weight is not GpuQuantizedWeight own ? null : own.Device == _device ? own : throw new ArgumentException($"the weight does not belong to {Device}", nameof(weight));
}
