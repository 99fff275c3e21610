namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Rotary embedding, cache write and attention of batches in which every sequence has one token; activations are halves.</summary>
internal interface IDecodeAttention : IDisposable
{
    /// <summary>Allocates the workspace for batches of up to so many sequences, in place of an earlier one, and loads the kernel that shape and cache need.</summary>
    void Reserve(int maxSeqs, AttentionShape shape, ElementType cache);

    /// <summary>Attention of one new token a sequence, whose key and value it writes to the cache first.</summary>
    /// <param name="shape">A supported shape.</param>
    /// <param name="qkv">F16, [numTokens, qkvWidth], not rotated.</param>
    /// <param name="rotary">The table that <see cref="BatchMetadata.RotaryRows"/> points into.</param>
    /// <param name="cache">F16, or codes where the kernel takes those.</param>
    /// <param name="batch">As many tokens as sequences. Rows at position -1 become zeros and write nothing to the cache.</param>
    /// <param name="output">F16, [numTokens, queryWidth].</param>
    void Launch(AttentionShape shape, GpuBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output);
}
