namespace IlgpuLlm.Loading;

/// <summary>Reads generation_config.json.</summary>
internal static class GenerationConfigReader
{
    private const int MaxFileBytes = 4 << 20;

    /// <summary>Reads the file; where there is none, the result says nothing.</summary>
    /// <exception cref="CheckpointException">The file cannot be read or a value is of the wrong type or outside its range.</exception>
    public static GenerationConfig Read(string file) =>
        File.Exists(file) ? Parse(JsonFields.ReadFile(file, MaxFileBytes)) : new GenerationConfig();

    /// <summary>Reads the object.</summary>
    public static GenerationConfig Parse(JsonFields json) => new()
    {
        DoSample = json.Bool("do_sample"),
        Temperature = (float?)json.Number("temperature", value => value is >= 0 and <= float.MaxValue, "must be a finite number from 0"),
        TopK = json.Int("top_k", -1, int.MaxValue),
        TopP = (float?)json.Number("top_p", value => value is > 0 and <= 1, "must be a number above 0 and up to 1"),
        MinP = (float?)json.Number("min_p", value => value is >= 0 and <= 1, "must be a number from 0 to 1"),
        RepetitionPenalty = (float?)json.Number("repetition_penalty", value => value is >= 1e-6 and <= 1e6, "must be a number from 1e-6 to 1e6"),
        MaxNewTokens = json.Int("max_new_tokens", 1, int.MaxValue),
        BosTokenId = json.Int("bos_token_id", 0, int.MaxValue),
        EosTokenIds = json.Ints("eos_token_id", 0, int.MaxValue),
    };
}
