namespace IlgpuLlm.Inputs;

/// <summary>What requests are checked against.</summary>
/// <param name="VocabSize">Token ids are below this.</param>
/// <param name="MaxModelLen">The longest sequence, prompt and output.</param>
/// <param name="ModelMaxLen">What the model itself would allow.</param>
/// <param name="NumCacheTokens">What the KV cache holds.</param>
internal sealed record ModelLimits(int VocabSize, int MaxModelLen, int ModelMaxLen, long NumCacheTokens)
{
    public string Describe() => $"max-model-len is {MaxModelLen} (the model allows {ModelMaxLen}, the KV cache holds {NumCacheTokens})";
}
