using System.CommandLine;

namespace IlgpuLlm.Cli.Options;

/// <summary>The options that say how tokens are chosen, under vLLM's names. What is not given comes from the model's generation_config.json.</summary>
internal sealed class SamplingOptionSet
{
    /// <summary>--max-tokens where neither the command line nor generation_config.json says: the library's 16 are few for a reader.</summary>
    public const int DefaultMaxTokens = 256;

    private readonly Option<int?> _maxTokens = OptionFactory.Number<int>("--max-tokens", "N",
        $"Most tokens to generate. Default: generation_config.json's max_new_tokens, else {DefaultMaxTokens}.");
    private readonly Option<int?> _minTokens = OptionFactory.Number<int>("--min-tokens", "N", "Tokens before which nothing but --max-tokens ends a completion.");
    private readonly Option<float?> _temperature = OptionFactory.Number<float>("--temperature", "T", "Divides the logits; 0 takes the likeliest token every time.");
    private readonly Option<int?> _topK = OptionFactory.Number<int>("--top-k", "K", "Keeps the K likeliest tokens; 0 or -1 keeps all.");
    private readonly Option<float?> _topP = OptionFactory.Number<float>("--top-p", "P", "Keeps the likeliest tokens that make up this probability, in (0, 1].");
    private readonly Option<float?> _minP = OptionFactory.Number<float>("--min-p", "P", "Keeps tokens with this share of the likeliest one's probability, in [0, 1].");
    private readonly Option<float?> _presencePenalty = OptionFactory.Number<float>("--presence-penalty", "X", "Taken from logits of tokens generated before, in [-2, 2].");
    private readonly Option<float?> _frequencyPenalty = OptionFactory.Number<float>("--frequency-penalty", "X",
        "Taken from logits for each time that a token was generated, in [-2, 2].");
    private readonly Option<float?> _repetitionPenalty = OptionFactory.Number<float>("--repetition-penalty", "X",
        "Divides positive and multiplies negative logits of tokens seen before.");
    private readonly Option<long?> _seed = OptionFactory.Number<long>("--seed", "S", "Makes the output reproducible. Default: differs from run to run.");
    private readonly Option<string[]> _stop = OptionFactory.Texts("--stop", "TEXT", "Ends a completion where this text appears; can be given several times.");
    private readonly Option<int[][]> _stopTokenIds = OptionFactory.TokenIdLists("--stop-token-ids", "Tokens that end a completion: 2,13.");
    private readonly Option<int?> _n = OptionFactory.Number<int>("--n", "N", "Completions of each prompt. Default: 1.");
    private readonly Option<bool> _ignoreEos = OptionFactory.Flag("--ignore-eos", "Goes on after the model's end-of-sequence token.");

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_maxTokens, _minTokens, _temperature, _topK, _topP, _minP, _presencePenalty, _frequencyPenalty,
            _repetitionPenalty, _seed, _stop, _stopTokenIds, _n, _ignoreEos])
            command.Options.Add(option);
    }

    /// <summary>The number of completions of each prompt.</summary>
    public int NumCompletions(ParseResult parse) => parse.GetValue(_n) ?? 1;

    /// <summary>Checks what can be checked before a model is loaded.</summary>
    /// <exception cref="InvalidRequestException">A parameter is out of its range.</exception>
    public void Validate(ParseResult parse) => Read(parse, new SamplingParams(), defaultMaxTokens: null).Validate();

    /// <summary>Reads the options over a model's defaults.</summary>
    public SamplingParams Read(ParseResult parse, SamplingParams defaults, int? defaultMaxTokens) => defaults with
    {
        MaxTokens = parse.GetValue(_maxTokens) ?? defaultMaxTokens,
        MinTokens = parse.GetValue(_minTokens) ?? defaults.MinTokens,
        Temperature = parse.GetValue(_temperature) ?? defaults.Temperature,
        TopK = parse.GetValue(_topK) ?? defaults.TopK,
        TopP = parse.GetValue(_topP) ?? defaults.TopP,
        MinP = parse.GetValue(_minP) ?? defaults.MinP,
        PresencePenalty = parse.GetValue(_presencePenalty) ?? defaults.PresencePenalty,
        FrequencyPenalty = parse.GetValue(_frequencyPenalty) ?? defaults.FrequencyPenalty,
        RepetitionPenalty = parse.GetValue(_repetitionPenalty) ?? defaults.RepetitionPenalty,
        Seed = parse.GetValue(_seed) ?? defaults.Seed,
        Stop = parse.GetValue(_stop) is { Length: > 0 } stop ? stop : defaults.Stop,
        StopTokenIds = parse.GetValue(_stopTokenIds) is { Length: > 0 } ids ? [.. ids.SelectMany(list => list)] : defaults.StopTokenIds,
        N = NumCompletions(parse),
        IgnoreEos = parse.GetValue(_ignoreEos),
    };
}
