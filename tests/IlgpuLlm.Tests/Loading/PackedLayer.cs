using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Tests.Loading;

/// <summary>A random quantized layer and its tensors as AutoAWQ and AutoGPTQ pack them, written from their description and not from the code under test.</summary>
internal sealed class PackedLayer
{
    private static readonly int[] AwqOrder = [0, 2, 4, 6, 1, 3, 5, 7];

    private readonly int _bits;
    private readonly int[] _zeros; // [numGroups, outFeatures]
    private readonly Half[] _scales; // [numGroups, outFeatures]
    private readonly int[] _codes; // [inFeatures, outFeatures]

    public PackedLayer(int inFeatures, int outFeatures, int bits, int groupLength, int seed = 1, int[]? groupOf = null)
    {
        (InFeatures, OutFeatures, _bits, NumGroups) = (inFeatures, outFeatures, bits, inFeatures / groupLength);
        GroupOf = groupOf ?? [.. Enumerable.Range(0, inFeatures).Select(k => k / groupLength)];
        var random = new Random(seed);
        _codes = [.. Enumerable.Range(0, inFeatures * outFeatures).Select(_ => random.Next(1 << bits))];
        _zeros = [.. Enumerable.Range(0, NumGroups * outFeatures).Select(_ => random.Next(1 << bits))];
        _scales = [.. Enumerable.Range(0, NumGroups * outFeatures).Select(_ => (Half)(0.001f + random.NextSingle()))];
    }

    public int InFeatures { get; }
    public int OutFeatures { get; }
    public int NumGroups { get; }
    public int[] GroupOf { get; }

    /// <summary>What it stands for: [outFeatures, inFeatures].</summary>
    public float[] Values
    {
        get
        {
            var values = new float[OutFeatures * InFeatures];
            for (int o = 0; o < OutFeatures; o++)
                for (int k = 0; k < InFeatures; k++)
                {
                    int group = GroupOf[k] * OutFeatures + o;
                    values[o * InFeatures + k] = (_codes[k * OutFeatures + o] - _zeros[group]) * (float)_scales[group];
                }
            return values;
        }
    }

    public void AddAwq(SafetensorsBuilder builder, string module) => builder
        .Add($"{module}.qweight", "I32", [InFeatures, OutFeatures / 8], PackOutputs(_codes, AwqOrder))
        .Add($"{module}.qzeros", "I32", [NumGroups, OutFeatures / 8], PackOutputs(_zeros, AwqOrder))
        .Add($"{module}.scales", "F16", [NumGroups, OutFeatures], _scales);

    public void AddGptq(SafetensorsBuilder builder, string module, bool isV2 = false)
    {
        int perWord = 32 / _bits, mask = (1 << _bits) - 1;
        var words = new int[InFeatures / perWord * OutFeatures];
        for (int k = 0; k < InFeatures; k++)
            for (int o = 0; o < OutFeatures; o++)
                words[k / perWord * OutFeatures + o] |= _codes[k * OutFeatures + o] << (_bits * (k % perWord));
        int[] stored = isV2 ? _zeros : [.. _zeros.Select(zero => (zero - 1) & mask)];
        builder
            .Add($"{module}.qweight", "I32", [InFeatures / perWord, OutFeatures], words)
            .Add($"{module}.qzeros", "I32", [NumGroups, OutFeatures / perWord], PackOutputs(stored, [.. Enumerable.Range(0, perWord)]))
            .Add($"{module}.scales", "F16", [NumGroups, OutFeatures], _scales)
            .Add($"{module}.g_idx", "I32", [InFeatures], GroupOf);
    }

    /// <summary>The description that the files of such a checkpoint have.</summary>
    public static ModelQuantization Describe(QuantizationMethod method, int bits, int groupSize, bool isV2 = false)
    {
        var format = new QuantizationFormat(bits, groupSize);
        return new ModelQuantization(format, new QuantizationConfig { Method = method, Format = format, StoresZerosMinusOne = !isV2 }, "config.json");
    }

    private int[] PackOutputs(int[] values, int[] order)
    {
        int perWord = order.Length;
        var words = new int[values.Length / perWord];
        for (int w = 0; w < words.Length; w++)
            for (int i = 0; i < perWord; i++)
                words[w] |= values[w * perWord + order[i]] << (_bits * i);
        return words;
    }
}
