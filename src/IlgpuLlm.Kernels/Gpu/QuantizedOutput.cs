using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Where a product with a quantized weight goes.</summary>
internal struct QuantizedOutput
{
    /// <summary>The output as floats, if that is what it holds.</summary>
    public ArrayView<float> Floats;

    /// <summary>The output as halves, if that is what it holds.</summary>
    public ArrayView<ushort> Halves;
    public ArrayView<float> Bias;
    public int HasBias;
    public int NumRows;

    /// <summary>Rows of the weight.</summary>
    public int NumColumns;

    /// <summary>How far an up row lies behind its gate row.</summary>
    public int UpOffset;

    /// <summary>The bias of a column.</summary>
    public readonly float BiasOf(int column) => HasBias != 0 ? Bias[column] : 0f;

    /// <summary>The column of a gate among the outputs.</summary>
    public readonly int TargetOf(int gate) => gate / (2 * UpOffset) * UpOffset + gate % UpOffset;
}

/// <summary>What a product does with a sum; with the sums of a gate and its up, where it takes both.</summary>
internal interface IQuantizedOutput
{
    static abstract bool IsGateUp { get; }

    /// <summary>Takes the sum of a row and a column that lie inside; <paramref name="up"/> is that of the column's up, where it is a gate.</summary>
    static abstract void Store(QuantizedOutput output, int row, int column, float sum, float up);
}

/// <summary>Stores floats, or adds to them.</summary>
internal readonly struct QuantizedFloats<TUpdate> : IQuantizedOutput
    where TUpdate : struct, IMmaUpdate
{
    public static bool IsGateUp => false;

    public static void Store(QuantizedOutput output, int row, int column, float sum, float up)
    {
        long at = (long)row * output.NumColumns + column;
        sum += output.BiasOf(column);
        output.Floats[at] = TUpdate.Adds ? output.Floats[at] + sum : sum;
    }
}

/// <summary>Stores halves.</summary>
internal readonly struct QuantizedHalves : IQuantizedOutput
{
    public static bool IsGateUp => false;

    public static void Store(QuantizedOutput output, int row, int column, float sum, float up) =>
        output.Halves[(long)row * output.NumColumns + column] = F16Element.Narrow(sum + output.BiasOf(column));
}

/// <summary>Stores silu(gate) * up as halves.</summary>
internal readonly struct QuantizedSiluMulHalves : IQuantizedOutput
{
    public static bool IsGateUp => true;

    public static void Store(QuantizedOutput output, int row, int column, float sum, float up) =>
        output.Halves[(long)row * (output.NumColumns / 2) + output.TargetOf(column)] =
            F16Element.Narrow(DeviceMath.Silu(sum + output.BiasOf(column)) * (up + output.BiasOf(column + output.UpOffset)));
}

/// <summary>Stores silu(gate) * up as floats.</summary>
internal readonly struct QuantizedSiluMulFloats : IQuantizedOutput
{
    public static bool IsGateUp => true;

    public static void Store(QuantizedOutput output, int row, int column, float sum, float up) =>
        output.Floats[(long)row * (output.NumColumns / 2) + output.TargetOf(column)] =
            DeviceMath.Silu(sum + output.BiasOf(column)) * (up + output.BiasOf(column + output.UpOffset));
}
