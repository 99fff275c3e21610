using IlgpuLlm.Loading;

namespace IlgpuLlm.Models;

/// <summary>
/// Rotary frequencies as Hugging Face Transformers computes them (modeling_rope_utils.py), in single precision where it does, so that angles at
/// large positions round alike.
/// </summary>
internal sealed class RotaryEmbedding
{
    private readonly RopeParameters _rope;
    private readonly int _headDim;
    private readonly int _originalLength;
    private readonly float[] _inverseFrequencies;
    private readonly float _attentionFactor;

    public RotaryEmbedding(ModelConfig config)
    {
        _rope = config.Rope;
        _headDim = config.HeadDim;
        _originalLength = _rope.OriginalMaxPositionEmbeddings;
        _attentionFactor = _rope.Type == RopeType.Yarn ? YarnAttentionFactor() : 1;
        _inverseFrequencies = _rope.Type switch
        {
            RopeType.Default or RopeType.Dynamic => Frequencies(_rope.Theta),
            RopeType.Linear => Array.ConvertAll(Frequencies(_rope.Theta), f => f / (float)_rope.Factor),
            RopeType.Llama3 => Array.ConvertAll(Frequencies(_rope.Theta), Llama3Frequency),
            RopeType.Yarn => YarnFrequencies(),
            _ => throw new InvalidOperationException($"rope type {_rope.Type}"),
        };
    }

    /// <summary>Whether frequencies depend on the sequence's length: dynamic NTK scaling.</summary>
    public bool IsDynamic => _rope.Type == RopeType.Dynamic;

    /// <summary>
    /// The sequence length whose frequencies a token uses: as in Transformers with a cache, a prompt is rotated for its whole length and each later
    /// token for the length that it makes. It depends on the request alone, so chunking and recomputation change nothing.
    /// </summary>
    public static int FrequencyLength(int position, int numPromptTokens) => Math.Max(position + 1, numPromptTokens);

    /// <summary>Whether a sequence of this length uses frequencies other than the unscaled ones.</summary>
    public bool IsScaledAt(int length) => IsDynamic && length > _originalLength;

    /// <summary>Writes the row for a position in a sequence of <paramref name="length"/> tokens: cosines, then sines; [headDim].</summary>
    public void WriteRow(Span<float> row, int position, int length)
    {
        float[] frequencies = IsScaledAt(length) ? DynamicFrequencies(length) : _inverseFrequencies;
        int half = _headDim / 2;
        for (int i = 0; i < half; i++)
        {
            float angle = position * frequencies[i];
            row[i] = (float)Math.Cos(angle) * _attentionFactor;
            row[half + i] = (float)Math.Sin(angle) * _attentionFactor;
        }
    }

    private float[] Frequencies(double theta)
    {
        float[] result = new float[_headDim / 2];
        for (int i = 0; i < result.Length; i++)
            result[i] = 1f / (float)Math.Pow((float)theta, 2 * i / (float)_headDim);
        return result;
    }

    private float[] DynamicFrequencies(int length)
    {
        double stretch = _rope.Factor * length / _originalLength - (_rope.Factor - 1);
        return Frequencies(_rope.Theta * Math.Pow(stretch, _headDim / (_headDim - 2.0)));
    }

    private float Llama3Frequency(float frequency)
    {
        double wavelength = 2 * Math.PI / frequency;
        if (wavelength > _originalLength / _rope.LowFreqFactor)
            return frequency / (float)_rope.Factor;
        if (wavelength < _originalLength / _rope.HighFreqFactor)
            return frequency;
        double smooth = (_originalLength / wavelength - _rope.LowFreqFactor) / (_rope.HighFreqFactor - _rope.LowFreqFactor);
        return (float)((1 - smooth) * frequency / _rope.Factor + smooth * frequency);
    }

    // YaRN (Peng et al., 2023): interpolate low frequencies, keep high ones, blend between.
    private float[] YarnFrequencies()
    {
        double low = CorrectionDimension(_rope.BetaFast), high = CorrectionDimension(_rope.BetaSlow);
        if (_rope.Truncate)
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, _headDim - 1));
        if (low == high)
            high += 0.001;
        float[] result = Frequencies(_rope.Theta);
        for (int i = 0; i < result.Length; i++)
        {
            double interpolated = Math.Clamp((i - low) / (high - low), 0, 1);
            result[i] = (float)(result[i] / _rope.Factor * interpolated + result[i] * (1 - interpolated));
        }
        return result;
    }

    private double CorrectionDimension(double rotations) =>
        _headDim * Math.Log(_originalLength / (rotations * 2 * Math.PI)) / (2 * Math.Log(_rope.Theta));

    private float YarnAttentionFactor()
    {
        if (_rope.AttentionFactor is { } given)
            return (float)given;
        return _rope.Mscale is > 0 and { } mscale && _rope.MscaleAllDim is > 0 and { } mscaleAllDim
            ? (float)(Mscale(mscale) / Mscale(mscaleAllDim))
            : (float)Mscale(1);

        double Mscale(double m) => _rope.Factor <= 1 ? 1 : 0.1 * m * Math.Log(_rope.Factor) + 1;
    }
}
