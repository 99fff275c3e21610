namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Products of rows that are normalized before: one row of halves is normalized by the kernel that multiplies it.</summary>
public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void RmsNormLinear(DeviceBuffer x, DeviceBuffer norm, float epsilon, DeviceBuffer normed, LinearWeight weight, DeviceBuffer output, int numRows)
    {
        if (!LaunchNormed(x, norm, epsilon, normed, weight, output, numRows, LinearEpilogue.Halves))
            base.RmsNormLinear(x, norm, epsilon, normed, weight, output, numRows);
    }

    /// <inheritdoc/>
    public override void RmsNormLinearSiluMul(DeviceBuffer x, DeviceBuffer norm, float epsilon, DeviceBuffer normed, LinearWeight weight, DeviceBuffer output, int numRows)
    {
        if (!LaunchNormed(x, norm, epsilon, normed, weight, output, numRows, LinearEpilogue.GateUp))
            base.RmsNormLinearSiluMul(x, norm, epsilon, normed, weight, output, numRows);
    }

    /// <summary>Queues both steps as one kernel where there is one.</summary>
    private bool LaunchNormed(
        DeviceBuffer x, DeviceBuffer norm, float epsilon, DeviceBuffer normed, LinearWeight weight, DeviceBuffer output, int numRows, LinearEpilogue epilogue)
    {
        if (numRows != 1 || IsBatchInvariant || output.Type != ElementType.F16)
            return false;
        var (row, normWeight, y) = (_device.Own(x), _device.Own(norm), _device.Own(output));
        ShapeChecks.Buffer(row, ElementType.F32, numRows, weight.InFeatures, nameof(x));
        ShapeChecks.Buffer(normWeight, ElementType.F32, 1, weight.InFeatures, nameof(norm));
        ShapeChecks.Activations(y, numRows, epilogue == LinearEpilogue.GateUp ? weight.OutFeatures / 2 : weight.OutFeatures, nameof(output));
        var multiplied = _device.Own(normed);
        if (OwnQuantized(weight) is { } codes)
        {
            if (_quantizedStream is null || !QuantizedStreamKernel.SupportsNormed(codes, row, normWeight, multiplied, epilogue))
                return false;
            _quantizedStream.LaunchNormed(codes, row, normWeight, epsilon, QuantizedOutputOf(codes, y, numRows), epilogue);
            return true;
        }
        var matrix = Own(weight);
        if (!NormGemvKernel.Supports(matrix, row, normWeight, multiplied, numRows))
            return false;
        _normGemv.Launch(matrix, row, normWeight, epsilon, y, epilogue);
        return true;
    }
}
