using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Inputs;

/// <summary>Turns prompts into tokens and checks requests against the model.</summary>
internal sealed class InputProcessor
{
    private readonly ModelLimits _limits;
    private readonly TextTokenizer? _tokenizer;
    private readonly SamplingParams _defaults;
    private readonly ulong? _engineSeed;
    private ulong _numSeeds;

    public InputProcessor(ModelLimits limits, TextTokenizer? tokenizer, SamplingParams defaults, long? engineSeed)
    {
        _limits = limits;
        _tokenizer = tokenizer;
        _defaults = defaults;
        _engineSeed = (ulong?)engineSeed;
    }

    /// <summary>Checks a request and tokenizes its prompt. Thread-safe.</summary>
    /// <exception cref="InvalidRequestException">The prompt or a parameter is not valid for this model.</exception>
    public ProcessedRequest Process(string requestId, Prompt prompt, SamplingParams? sampling)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        sampling ??= _defaults;
        sampling.Validate();
        int[] tokens = Tokenize(prompt);
        if (tokens.Length == 0)
            throw new InvalidRequestException("prompt", "is empty and the tokenizer adds no BOS token, so there is nothing to continue");
        foreach (int id in tokens)
            CheckToken("prompt_token_ids", id);
        foreach (int id in sampling.StopTokenIds)
            CheckToken("stop_token_ids", id);
        if (tokens.Length >= _limits.MaxModelLen)
            throw new InvalidRequestException("prompt", $"has {tokens.Length} tokens; {_limits.Describe()}, so it can have at most {_limits.MaxModelLen - 1}");
        int room = _limits.MaxModelLen - tokens.Length;
        int maxTokens = Math.Min(sampling.MaxTokens ?? room, room);
        if (sampling.MinTokens > maxTokens)
            throw new InvalidRequestException("min_tokens", $"{sampling.MinTokens} exceeds the {maxTokens} tokens that can follow a prompt of {tokens.Length}; {_limits.Describe()}");
        if (sampling.Stop.Count > 0 && _tokenizer is null)
            throw new InvalidRequestException("stop", "the model's folder has no tokenizer, so there is no text to find stop strings in");

        ulong seed = sampling.Seed is { } given ? (ulong)given : NextSeed();
        var sequences = new EngineCoreRequest[sampling.N];
        for (int i = 0; i < sequences.Length; i++)
            sequences[i] = new EngineCoreRequest(sampling.N == 1 ? requestId : $"{requestId}_{i}", tokens, sampling, maxTokens, seed + (ulong)i);
        return new ProcessedRequest(requestId, prompt.Text, tokens, sampling, sequences);
    }

    private int[] Tokenize(Prompt prompt)
    {
        if (prompt.TokenIds is { } ids)
            return [.. ids];
        if (_tokenizer is null)
            throw new InvalidRequestException("prompt", "the model's folder has no tokenizer (tokenizer.model or tokenizer.json), so the prompt must be given as token ids");
        return _tokenizer.Encode(prompt.Text!);
    }

    private void CheckToken(string field, int id)
    {
        if (id < 0 || id >= _limits.VocabSize)
            throw new InvalidRequestException(field, $"token id {id} is out of range; the model's vocab_size is {_limits.VocabSize}");
    }

    private ulong NextSeed()
    {
        if (_engineSeed is not { } engineSeed)
            return (ulong)Random.Shared.NextInt64(long.MinValue, long.MaxValue);
        // SplitMix64's finaliser: seeds of consecutive requests are unrelated, and n completions of one request do not overlap the next request's.
        ulong z = engineSeed + Interlocked.Increment(ref _numSeeds) * 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
