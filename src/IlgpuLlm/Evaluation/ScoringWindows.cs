namespace IlgpuLlm.Evaluation;

/// <summary>
/// How a text longer than the model's context is divided. Each window begins with the BOS token where the model's tokenizer adds one, otherwise with the
/// text's token before it, so that every token is scored exactly once (without BOS all but the first of the text).
/// </summary>
public sealed record ScoringWindows
{
    /// <summary>The default of <see cref="Length"/>, where the engine's max-model-len allows it: that of the AWQ and GPTQ papers.</summary>
    public const int DefaultLength = 2048;

    /// <summary>The most tokens of a window, BOS included; null: <see cref="DefaultLength"/>, or one less than the engine's max-model-len.</summary>
    public int? Length { get; init; }

    /// <summary>
    /// How many tokens later a window begins than the one before. Null: as many as there are in a window, so that windows do not overlap. With fewer, the tokens
    /// that the window before has scored are context only: slower, and nearer to what the model can do.
    /// </summary>
    public int? Stride { get; init; }

    /// <summary>Divides a text.</summary>
    /// <param name="tokenIds">The text's tokens, without BOS.</param>
    /// <param name="bosTokenId">BOS; null: windows begin without.</param>
    /// <param name="maxModelLen">The engine's.</param>
    /// <exception cref="InvalidOptionException">Length or stride are out of range, or the text has too few tokens for one to be scored.</exception>
    internal IReadOnlyList<ScoringWindow> Divide(IReadOnlyList<int> tokenIds, int? bosTokenId, int maxModelLen)
    {
        int longest = maxModelLen - 1; // a token must fit behind the prompt
        int length = Length ?? Math.Min(DefaultLength, longest);
        if (length < 2 || length > longest)
            throw new InvalidOptionException("window", $"{length} must be in [2, {longest}]: max-model-len is {maxModelLen}");
        int room = length - 1, stride = Stride ?? room;
        if (stride < 1 || stride > room)
            throw new InvalidOptionException("stride", $"{stride} must be in [1, {room}]: windows have {length} tokens, the first of which is not scored");
        int least = bosTokenId is null ? 2 : 1;
        if (tokenIds.Count < least)
            throw new InvalidOptionException("text", $"has {tokenIds.Count} tokens, at least {least} are needed");
        List<ScoringWindow> windows = [];
        for (int begin = bosTokenId is null ? 1 : 0, scored = begin; scored < tokenIds.Count; begin += stride)
        {
            int end = Math.Min(begin + room, tokenIds.Count);
            int[] window = new int[end - begin + 1];
            window[0] = bosTokenId ?? tokenIds[begin - 1];
            for (int i = begin; i < end; i++)
                window[i - begin + 1] = tokenIds[i];
            windows.Add(new ScoringWindow(window, scored - begin + 1));
            scored = end;
        }
        return windows;
    }
}

/// <summary>A part of a text.</summary>
/// <param name="TokenIds">What the model is given.</param>
/// <param name="FirstScored">The index of the first token that is scored; those before it are context.</param>
internal readonly record struct ScoringWindow(int[] TokenIds, int FirstScored);
