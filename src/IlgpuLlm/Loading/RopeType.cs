namespace IlgpuLlm.Loading;

/// <summary>How rotary embeddings are stretched beyond the length that the model was first trained on.</summary>
public enum RopeType
{
    /// <summary>Not at all.</summary>
    Default,

    /// <summary>Positions are divided by the factor.</summary>
    Linear,

    /// <summary>NTK-aware: theta grows with the length once it exceeds the original one.</summary>
    Dynamic,

    /// <summary>Llama 3.1: low frequencies are divided by the factor, high ones kept, those between interpolated.</summary>
    Llama3,

    /// <summary>YaRN (arXiv:2309.00071): interpolation by parts and an attention temperature.</summary>
    Yarn,
}
