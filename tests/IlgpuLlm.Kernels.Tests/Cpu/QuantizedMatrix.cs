namespace IlgpuLlm.Kernels.Tests.Cpu;

/// <summary>Random codes, scales (some of them subnormal) and zero points.</summary>
internal sealed class QuantizedMatrix
{
    private readonly int _inFeatures, _numGroups;
    private readonly byte[] _codes, _zeros;
    private readonly Half[] _scales;

    public QuantizedMatrix(int outFeatures, int inFeatures, QuantizationFormat format)
    {
        var random = new Random(outFeatures);
        (Format, OutFeatures, _inFeatures, _numGroups) = (format, outFeatures, inFeatures, format.NumGroups(inFeatures));
        _codes = [.. Enumerable.Range(0, outFeatures * inFeatures).Select(_ => (byte)random.Next(1 << format.Bits))];
        _zeros = [.. Enumerable.Range(0, outFeatures * _numGroups).Select(_ => (byte)random.Next(1 << format.Bits))];
        _scales = [.. Enumerable.Range(0, outFeatures * _numGroups).Select(i => (Half)(i % 7 == 6 ? 3e-6f : random.NextSingle() / (1 << format.Bits)))];
        Values = new float[outFeatures * inFeatures];
        for (int i = 0; i < Values.Length; i++)
        {
            int group = i / inFeatures * _numGroups + i % inFeatures / format.GroupLength(inFeatures);
            Values[i] = (_codes[i] - _zeros[group]) * (float)_scales[group];
        }
    }

    public QuantizationFormat Format { get; }

    public int OutFeatures { get; }

    /// <summary>What it stands for: [outFeatures, inFeatures].</summary>
    public float[] Values { get; }

    public float Largest => Math.Max(1, Values.Max(Math.Abs));

    public QuantizedRows Rows(int first, int end) => new(
        _codes.AsSpan((first * _inFeatures)..(end * _inFeatures)), _scales.AsSpan((first * _numGroups)..(end * _numGroups)),
        _zeros.AsSpan((first * _numGroups)..(end * _numGroups)));

    public LinearWeight Load(Backend backend, float[]? bias, params int[] inputOrder)
    {
        var weight = backend.CreateQuantizedLinear(OutFeatures, _inFeatures, Format, bias is not null, inputOrder);
        weight.LoadQuantizedRows(0, OutFeatures, Rows(0, OutFeatures));
        if (bias is not null)
            weight.LoadBias(0, bias);
        return weight;
    }
}
