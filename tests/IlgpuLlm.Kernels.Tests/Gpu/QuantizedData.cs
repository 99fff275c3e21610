using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>A random quantized matrix, what it stands for, and rows to multiply it by.</summary>
internal sealed class QuantizedData
{
    private readonly int _outFeatures, _inFeatures, _numGroups;
    private readonly byte[] _codes, _zeros;
    private readonly Half[] _scales;
    private readonly int[] _order = [];

    public QuantizedData(int bits, int groupSize, int outFeatures, int inFeatures, bool isReordered, int maxRows)
    {
        Format = new(bits, groupSize);
        (_outFeatures, _inFeatures, _numGroups) = (outFeatures, inFeatures, Format.NumGroups(inFeatures));
        var random = new Random(bits + outFeatures);
        _codes = new byte[outFeatures * inFeatures];
        for (int i = 0; i < _codes.Length; i++)
            _codes[i] = (byte)random.Next(1 << bits);
        _zeros = new byte[outFeatures * _numGroups];
        _scales = new Half[_zeros.Length];
        for (int i = 0; i < _zeros.Length; i++)
        {
            _zeros[i] = (byte)random.Next(Math.Min(256, (1 << bits) + 1)); // 16 among them
            _scales[i] = (Half)((0.5 + random.NextDouble()) / (1 << bits));
        }
        if (isReordered)
        {
            _order = [.. Enumerable.Range(0, inFeatures)];
            random.Shuffle(_order);
        }
        Weight = new float[_codes.Length];
        for (int i = 0; i < Weight.Length; i++)
        {
            int row = i / inFeatures, k = i % inFeatures, group = row * _numGroups + k / Format.GroupLength(inFeatures);
            Weight[row * inFeatures + (isReordered ? _order[k] : k)] = (_codes[i] - _zeros[group]) * (float)_scales[group];
        }
        Bias = TestTensors.Random(2, outFeatures);
        X = TestTensors.RoundTo(ElementType.F16, TestTensors.Random(3, maxRows * inFeatures));
    }

    public QuantizationFormat Format { get; }

    /// <summary>The feature of a row that each stored input is multiplied by; empty where nothing is moved.</summary>
    public ReadOnlySpan<int> Order => _order;

    /// <summary>[outFeatures, inFeatures], in the order of a row's features.</summary>
    public float[] Weight { get; }

    /// <summary>What tensor cores multiply: <see cref="Weight"/> as halves.</summary>
    public float[] HalfWeight => TestTensors.RoundTo(ElementType.F16, Weight);

    public float[] Bias { get; }

    /// <summary>[maxRows, inFeatures], exact in F16.</summary>
    public float[] X { get; }

    public LinearWeight Load(Backend backend) => Fill(backend.CreateQuantizedLinear(_outFeatures, _inFeatures, Format, hasBias: true, _order));

    /// <summary>Loads all rows, in parts that begin and end within a kernel's tiles, from several threads.</summary>
    public LinearWeight Fill(LinearWeight weight)
    {
        const int Part = 7;
        Parallel.For(0, (_outFeatures + Part - 1) / Part, part =>
        {
            int first = part * Part, count = Math.Min(Part, _outFeatures - first);
            weight.LoadQuantizedRows(first, count, new QuantizedRows(
                _codes.AsSpan(first * _inFeatures, count * _inFeatures), _scales.AsSpan(first * _numGroups, count * _numGroups),
                _zeros.AsSpan(first * _numGroups, count * _numGroups)));
        });
        weight.LoadBias(0, Bias);
        return weight;
    }

    /// <summary>silu(gate) * up of some rows with <see cref="Weight"/> or <see cref="HalfWeight"/>, whose upper half is the gate.</summary>
    public double[] SiluMul(float[] weight, int rows)
    {
        double[] gateUp = ReferenceKernels.Linear(weight, Bias, X, rows, _outFeatures, _inFeatures);
        return ReferenceKernels.SiluMul([.. gateUp.Select(v => (float)v)], rows, _outFeatures / 2);
    }
}
