using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels;

/// <summary>How the token of one row of logits is chosen: 14 words, as they lie in <see cref="SamplingBatch.Rows"/>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SamplingRow
{
    /// <summary>The words of a row.</summary>
    public const int NumWords = 14;

    /// <summary>The most tokens that a row can forbid.</summary>
    public const int MaxBanned = 16;

    /// <summary>No token counts: the row has no penalties.</summary>
    public const int NoCounts = -1;

    /// <summary>Whether and how a token is chosen.</summary>
    public SamplingKind Kind { get; set; }

    /// <summary>The row of the results that the token goes to.</summary>
    public int Output { get; set; }

    /// <summary>Multiplies the differences to the largest logit.</summary>
    public float InverseTemperature { get; set; }

    /// <summary>Keeps the k largest logits and those equal to the k-th; 0 keeps all.</summary>
    public int TopK { get; set; }

    /// <summary>Keeps the likeliest tokens until their probabilities reach this; 1 keeps all. Ties go to the lower id.</summary>
    public float TopP { get; set; }

    /// <summary>The least scaled difference to the largest logit that is kept: min-p's logarithm, at least -float.MaxValue.</summary>
    public float Floor { get; set; }

    /// <summary>The request's seed, lower half.</summary>
    public uint SeedLow { get; set; }

    /// <summary>The request's seed, upper half.</summary>
    public uint SeedHigh { get; set; }

    /// <summary>How many tokens the request has generated before this one.</summary>
    public int OutputPosition { get; set; }

    /// <summary>The row of <see cref="SamplingBatch.TokenCounts"/> that penalties read and the chosen token is added to, or <see cref="NoCounts"/>.</summary>
    public int CountsRow { get; set; }

    /// <summary>Divides positive and multiplies negative logits of tokens in the prompt or the output.</summary>
    public float RepetitionPenalty { get; set; }

    /// <summary>Subtracted from the logits of tokens in the output.</summary>
    public float PresencePenalty { get; set; }

    /// <summary>Subtracted for each time that a token is in the output.</summary>
    public float FrequencyPenalty { get; set; }

    /// <summary>How many of the row's <see cref="SamplingBatch.Banned"/> tokens count.</summary>
    public int NumBanned { get; set; }
}
