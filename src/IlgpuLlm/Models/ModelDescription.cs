using IlgpuLlm.Loading;

namespace IlgpuLlm.Models;

/// <summary>
/// What distinguishes one Llama-like architecture from another, read off its config: the table entry that <see cref="LlamaModel"/> is built from.
/// </summary>
internal sealed record ModelDescription
{
    /// <summary>Whether query, key and value projections have biases.</summary>
    public bool QkvBias { get; init; }

    /// <summary>Whether the attention's output projection has a bias.</summary>
    public bool OutputBias { get; init; }

    /// <summary>Whether the MLP's projections have biases.</summary>
    public bool MlpBias { get; init; }

    /// <summary>How many tokens back attention sees; 0: all.</summary>
    public int SlidingWindow { get; init; }

    /// <summary>Whether the output layer shares the embedding's matrix.</summary>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>Llama 1, 2, 3.</summary>
    public static ModelDescription Llama(ModelConfig config) => new()
    {
        QkvBias = config.AttentionBias,
        OutputBias = config.AttentionBias,
        MlpBias = config.MlpBias,
        TieWordEmbeddings = config.TieWordEmbeddings,
    };

    /// <summary>Mistral: no biases, optionally a sliding window.</summary>
    public static ModelDescription Mistral(ModelConfig config) => new()
    {
        SlidingWindow = config.SlidingWindow ?? 0,
        TieWordEmbeddings = config.TieWordEmbeddings,
    };
}
