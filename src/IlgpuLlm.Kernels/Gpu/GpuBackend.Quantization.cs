namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Quantized weights.</summary>
public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override LinearWeight CreateQuantizedLinear(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder) =>
        new GpuQuantizedWeight(_device, _quantizedFill, outFeatures, inFeatures, format, hasBias, inputOrder);

    /// <inheritdoc/>
    public override long QuantizedLinearByteLength(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, bool isReordered) =>
        GpuQuantizedWeight.LengthInBytes(outFeatures, inFeatures, format, hasBias, isReordered);

    /// <inheritdoc/>
    public override LinearWeight CreateQuantizedGateUp(ModelShape model, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder)
    {
        int? block = model.IntermediateSize % GpuLinearWeight.GateUpBlock == 0 ? GpuLinearWeight.GateUpBlock : null;
        return new GpuQuantizedWeight(_device, _quantizedFill, checked(2 * model.IntermediateSize), model.HiddenSize, format, hasBias, inputOrder, block);
    }

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
        var target = QuantizedOutputOf(weight, output, numRows);
        if (_quantizedStream is not null && numRows <= QuantizedStreamKernel.MaxRows && weight.InputOrder is null
            && QuantizedStreamKernel.Supports(weight, input, epilogue))
            _quantizedStream.Launch(weight, input, target, epilogue);
        else if (epilogue == LinearEpilogue.GateUp && input.Type != output.Type)
            throw new ArgumentException($"gate and up of {input.Type} rows make {input.Type}, not {output.Type}", nameof(output));
        else
            _quantizedPlain.Launch(weight, input, target, epilogue);
    }

    private GpuQuantizedWeight? OwnQuantized(LinearWeight weight) =>
        weight is not GpuQuantizedWeight own ? null : own.Device == _device ? own : throw new ArgumentException($"the weight does not belong to {Device}", nameof(weight));
}
