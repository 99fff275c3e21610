using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>Inputs of a product, rounded to the type that they are stored in, and its reference, computed once.</summary>
internal sealed class ProductData
{
    private readonly Lazy<double[]> _products;

    /// <param name="type">What weight and activations are rounded to.</param>
    /// <param name="outFeatures">Rows of the weight.</param>
    /// <param name="inFeatures">Its columns.</param>
    /// <param name="maxRows">Rows of activations.</param>
    /// <param name="amplitude">The largest activation.</param>
    public ProductData(ElementType type, int outFeatures, int inFeatures, int maxRows, float amplitude = 1)
    {
        (OutFeatures, InFeatures, MaxRows) = (outFeatures, inFeatures, maxRows);
        Weight = TestTensors.RoundTo(type, TestTensors.Random(1, outFeatures * inFeatures));
        Bias = TestTensors.Random(2, outFeatures);
        X = TestTensors.RoundTo(type, TestTensors.Random(3, maxRows * inFeatures, amplitude));
        Residual = TestTensors.Random(9, maxRows * outFeatures);
        _products = new(() => ReferenceKernels.Linear(Weight, Bias, X, maxRows, outFeatures, inFeatures));
    }

    public int OutFeatures { get; }

    public int InFeatures { get; }

    public int MaxRows { get; }

    /// <summary>[outFeatures, inFeatures].</summary>
    public float[] Weight { get; }

    /// <summary>[outFeatures].</summary>
    public float[] Bias { get; }

    /// <summary>[maxRows, inFeatures].</summary>
    public float[] X { get; }

    /// <summary>What products are added to: [maxRows, outFeatures].</summary>
    public float[] Residual { get; }

    /// <summary>[maxRows, outFeatures].</summary>
    public double[] Products => _products.Value;

    /// <summary>Products added to the residual: [maxRows, outFeatures].</summary>
    public double[] Sums
    {
        get
        {
            var sums = new double[Products.Length];
            for (int i = 0; i < sums.Length; i++)
                sums[i] = Products[i] + Residual[i];
            return sums;
        }
    }

    /// <summary>silu(gate) * up, where the upper half of the weight is the gate: [maxRows, outFeatures / 2].</summary>
    public double[] GatedProducts => ReferenceKernels.SiluMul(Array.ConvertAll(Products, v => (float)v), MaxRows, OutFeatures / 2);

    /// <summary>The weight on a device, with its bias.</summary>
    public LinearWeight Load(Backend backend, ElementType storage) => backend.CreateLinear(Weight, Bias, OutFeatures, InFeatures, storage);

    /// <summary>The weight on a device as gate and up of a model.</summary>
    public LinearWeight LoadGateUp(Backend backend, ModelShape model)
    {
        LinearWeight weight = backend.CreateGateUp(model, hasBias: true);
        int half = Weight.Length / 2;
        weight.LoadRows(0, OutFeatures / 2, ElementType.F32, TestTensors.Encode(ElementType.F32, Weight.AsSpan(0, half)));
        weight.LoadRows(OutFeatures / 2, OutFeatures / 2, ElementType.F32, TestTensors.Encode(ElementType.F32, Weight.AsSpan(half)));
        weight.LoadBias(0, Bias);
        return weight;
    }
}
