namespace IlgpuLlm.Loading;

/// <summary>The rotary embedding's parameters: config.json's rope_theta with rope_scaling (Transformers 4) or rope_parameters (5).</summary>
public sealed record RopeParameters
{
    /// <summary>The kind of stretching.</summary>
    public RopeType Type { get; init; }

    /// <summary>The base of the frequencies: element pair i turns by position * Theta^(-2i / headDim). Above 0.</summary>
    public double Theta { get; init; } = 10000;

    /// <summary>The stretching factor, at least 1; 1 for <see cref="RopeType.Default"/>.</summary>
    public double Factor { get; init; } = 1;

    /// <summary>Llama3: frequencies with a wavelength above original length / LowFreqFactor are divided by the factor.</summary>
    public double LowFreqFactor { get; init; } = 1;

    /// <summary>Llama3: frequencies with a wavelength below original length / HighFreqFactor are kept. Above <see cref="LowFreqFactor"/>.</summary>
    public double HighFreqFactor { get; init; } = 4;

    /// <summary>The length, in tokens, that the model was trained on before it was stretched; at least 1.</summary>
    public int OriginalMaxPositionEmbeddings { get; init; }

    /// <summary>Yarn: what cosines and sines are multiplied with; null: derived from the factor.</summary>
    public double? AttentionFactor { get; init; }

    /// <summary>Yarn: dimensions that turn more often than this over the original length are kept.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>Yarn: dimensions that turn less often than this over the original length are divided by the factor.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>Yarn: DeepSeek's refinement of the derived attention factor; null: absent.</summary>
    public double? Mscale { get; init; }

    /// <summary>Yarn: the divisor that belongs to <see cref="Mscale"/>; null: absent.</summary>
    public double? MscaleAllDim { get; init; }

    /// <summary>Yarn: whether the bounds of the interpolated dimensions are rounded to integers.</summary>
    public bool Truncate { get; init; } = true;
}
