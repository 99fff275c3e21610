namespace IlgpuLlm.Scheduling;

/// <summary>A request as the scheduler sees it: tokens and counts, no text. Everything it will ever need is allocated when it arrives.</summary>
internal sealed class Request
{
    private readonly int[] _tokens;
    private readonly int[] _blockTable;

    /// <param name="id">Unique among the unfinished requests.</param>
    /// <param name="promptTokenIds">At least one token.</param>
    /// <param name="sampling">Valid parameters.</param>
    /// <param name="maxTokens">The most tokens to generate: max_tokens, cut to the model's context.</param>
    /// <param name="seed">What random numbers depend on.</param>
    /// <param name="eosTokenIds">The tokens that end the sequence, unless ignore_eos.</param>
    /// <param name="blockSize">Tokens in a block.</param>
    public Request(string id, ReadOnlySpan<int> promptTokenIds, SamplingParams sampling, int maxTokens, ulong seed, int[] eosTokenIds, int blockSize)
    {
        Id = id;
        Sampling = sampling;
        MaxTokens = maxTokens;
        Seed = seed;
        EosTokenIds = eosTokenIds;
        StopTokenIds = [.. sampling.StopTokenIds];
        NumPromptTokens = NumTokens = promptTokenIds.Length;
        _tokens = new int[promptTokenIds.Length + maxTokens];
        promptTokenIds.CopyTo(_tokens);
        // The last token is never fed, so it needs no slot.
        _blockTable = new int[(_tokens.Length - 1 + blockSize - 1) / blockSize];
    }

    public string Id { get; }
    public SamplingParams Sampling { get; }
    public int MaxTokens { get; }
    public ulong Seed { get; }
    public int[] EosTokenIds { get; }
    public int[] StopTokenIds { get; }
    public RequestStatus Status { get; set; } = RequestStatus.Waiting;

    /// <summary>Prompt and output so far.</summary>
    public ReadOnlySpan<int> TokenIds => _tokens.AsSpan(0, NumTokens);
    public ReadOnlySpan<int> OutputTokenIds => _tokens.AsSpan(NumPromptTokens, NumOutputTokens);
    public int NumPromptTokens { get; }
    public int NumTokens { get; private set; }
    public int NumOutputTokens => NumTokens - NumPromptTokens;

    /// <summary>Tokens that follow those and are being chosen by steps whose results are not known yet.</summary>
    public int NumPendingTokens { get; set; }

    /// <summary>Where the model runner finds the last pending token on the device.</summary>
    public int SampledRow { get; set; }

    /// <summary>Tokens whose keys and values are in the cache, or will be when the steps that were scheduled have run.</summary>
    public int NumComputedTokens { get; set; }
    public int NumPreemptions { get; set; }

    /// <summary>The prompt positions whose logits or log-probabilities were reported, so that a recomputation does not report them twice.</summary>
    public int NumPromptRows { get; set; }

    /// <summary>The cache blocks, in order of position.</summary>
    public ReadOnlySpan<int> BlockTable => _blockTable.AsSpan(0, NumBlocks);
    public int NumBlocks { get; private set; }

    /// <summary>The most blocks that this request can come to hold.</summary>
    public int MaxBlocks => _blockTable.Length;

    public void AppendToken(int tokenId) => _tokens[NumTokens++] = tokenId;

    public void AppendBlock(int block) => _blockTable[NumBlocks++] = block;

    public void ClearBlocks() => NumBlocks = 0;
}
