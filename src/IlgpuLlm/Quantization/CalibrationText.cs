using IlgpuLlm.Engine;

namespace IlgpuLlm.Quantization;

/// <summary>The sequences that inputs are measured on: of a given text, or of texts that the model itself makes.</summary>
internal static class CalibrationText
{
    // Below this the mean magnitudes of features are guesses.
    private const int MinTokens = 512;

    // Texts end when the model ends them; so often more are asked for.
    private const int MaxRounds = 8;

    /// <summary>The sequences.</summary>
    /// <param name="options">What is asked for.</param>
    /// <param name="files">The model.</param>
    /// <param name="progress">Told how much is done, from 0 to 1.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="QuantizationException">There is no tokenizer, or the text is too short.</exception>
    public static IReadOnlyList<int[]> Read(QuantizeOptions options, ModelFiles files, Action<double> progress, CancellationToken cancellationToken)
    {
        int length = Math.Min(options.CalibrationLength, files.Config.MaxPositionEmbeddings);
        int? bos = files.Tokenizer is { } tokenizer ? (tokenizer.AddBosToken ? tokenizer.BosTokenId : null) : files.Config.BosTokenId;
        int numTokens = checked(options.CalibrationSequences * (length - (bos is null ? 0 : 1)));
        IReadOnlyList<int> text = options.CalibrationText is { } given
            ? Encode(given, files)
            : Generate(options, files, bos, length, numTokens, progress, cancellationToken);
        int least = Math.Min(MinTokens, numTokens);
        if (text.Count < least)
        {
            throw new QuantizationException(options.CalibrationText is null
                ? $"calibration: the model's own texts have {text.Count} tokens in all, at least {least} are needed; give a text"
                : $"calibration: the text has {text.Count} tokens, at least {least} are needed");
        }
        return [.. Spread(text, bos, length, options.CalibrationSequences)];
    }

    /// <summary>Neighbouring pieces of a text; where it has more than enough, pieces from all over it.</summary>
    private static IEnumerable<int[]> Spread(IReadOnlyList<int> text, int? bos, int length, int count)
    {
        int room = length - (bos is null ? 0 : 1), numPieces = (text.Count + room - 1) / room, taken = Math.Min(numPieces, count);
        for (int i = 0; i < taken; i++)
        {
            int first = (int)((long)i * numPieces / taken) * room;
            yield return [.. bos is null ? [] : new[] { bos.Value }, .. text.Skip(first).Take(room)];
        }
    }

    private static int[] Encode(string text, ModelFiles files) => files.Tokenizer is { } tokenizer
        ? tokenizer.Encode(text, addSpecialTokens: false)
        : throw new QuantizationException($"{files.Folder.FullPath}: has no tokenizer (tokenizer.model or tokenizer.json), so the calibration's text cannot be divided into tokens");

    /// <summary>Samples from the model at temperature 1: tokens as it expects them, whatever it was trained on.</summary>
    private static List<int> Generate(
        QuantizeOptions options, ModelFiles files, int? bos, int length, int numTokens, Action<double> progress, CancellationToken cancellationToken)
    {
        using var llm = new LLM(new EngineOptions { Model = options.Model, Device = options.Device, NumThreads = options.NumThreads, MaxModelLen = length });
        var prompt = Prompt.FromTokens([bos ?? files.Tokenizer?.BosTokenId ?? files.Config.BosTokenId ?? 0]);
        List<int> tokens = [];
        double share = 0; // never less than before, although texts that end early count as whole ones until their round is over
        for (int round = 0; round < MaxRounds && tokens.Count < numTokens; round++)
        {
            int first = round * options.CalibrationSequences;
            var requests = Enumerable.Range(first, options.CalibrationSequences).Select(seed =>
                (prompt, (SamplingParams?)new SamplingParams { Temperature = 1, Seed = seed, MaxTokens = length - 1 }));
            int done = tokens.Count;
            var counter = new Counter(ended => progress(share = Math.Clamp((double)(done + ended * length) / numTokens, share, 1)));
            foreach (var output in llm.Generate(requests, counter, cancellationToken))
            {
                if (output.Outputs[0].Error is { } error)
                    throw new QuantizationException($"calibration: the model makes no texts: {error}");
                tokens.AddRange(output.Outputs[0].TokenIds);
            }
        }
        return tokens;
    }

    private sealed class Counter(Action<int> report) : IProgress<int>
    {
        public void Report(int value) => report(value);
    }
}
