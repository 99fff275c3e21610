using System.Diagnostics;
using IlgpuLlm.Sampling;

namespace IlgpuLlm.Evaluation;

/// <summary>
/// Scores given tokens with an engine, which batches and chunks them as any prompts: log-probabilities, likeliest tokens, perplexity of a text, divergence
/// from another model. Not thread-safe, as the engine is not; does not own it.
/// </summary>
/// <param name="llm">The engine. Sequences can have one token less than its max-model-len.</param>
public sealed class TokenScorer(LLM llm)
{
    private readonly LLM _llm = llm ?? throw new ArgumentNullException(nameof(llm));

    /// <summary>Scores a sequence.</summary>
    /// <param name="tokenIds">The tokens as they are fed: no BOS is added.</param>
    /// <exception cref="InvalidRequestException">There are no tokens, too many, or one is not in the vocabulary.</exception>
    /// <exception cref="ScoringException">The model's logits are not finite.</exception>
    public TokenScores Score(IReadOnlyList<int> tokenIds) => Score([tokenIds])[0];

    /// <summary>Scores sequences, many at a time.</summary>
    /// <param name="sequences">The tokens of each as they are fed: no BOS is added.</param>
    /// <param name="progress">Told how many sequences are done.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>One result a sequence, in order.</returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <inheritdoc cref="Score(IReadOnlyList{int})" path="/exception"/>
    public IReadOnlyList<TokenScores> Score(IEnumerable<IReadOnlyList<int>> sequences, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sequences);
        var scores = sequences.Select(tokenIds => new ScoreBuffer(tokenIds)).ToList();
        Run([.. scores.Select(score => new RowSink(score.TokenIds, score.Read))], progress, cancellationToken);
        return [.. scores.Select(score => score.ToScores())];
    }

    /// <summary>Scores a text of any length in windows.</summary>
    /// <param name="tokenIds">The text's tokens, without BOS.</param>
    /// <param name="windows">How it is divided; null: defaults.</param>
    /// <param name="progress">Told how much is done, from 0 to 1.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="InvalidOptionException">The windows do not fit the engine, or the text is too short.</exception>
    /// <inheritdoc cref="Score(IEnumerable{IReadOnlyList{int}}, IProgress{int}?, CancellationToken)" path="/exception"/>
    public TextScore ScoreText(IReadOnlyList<int> tokenIds, ScoringWindows? windows = null, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tokenIds);
        var parts = Divide(tokenIds, windows);
        long start = Stopwatch.GetTimestamp();
        var scores = Score(parts.Select(part => part.TokenIds), progress is null ? null : new ShareOf(parts.Count, progress), cancellationToken);
        double sum = 0;
        int count = 0;
        for (int w = 0; w < parts.Count; w++)
        {
            for (int i = parts[w].FirstScored; i < parts[w].TokenIds.Length; i++, count++)
                sum -= scores[w].Logprobs[i - 1];
        }
        return new TextScore(sum / count, count, parts.Count, Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    /// <summary>The log-probabilities of all tokens after every token of a sequence: [numTokens][vocabSize], four bytes each.</summary>
    /// <param name="tokenIds">The tokens as they are fed: no BOS is added.</param>
    /// <inheritdoc cref="Score(IReadOnlyList{int})" path="/exception"/>
    public IReadOnlyList<float[]> LogSoftmax(IReadOnlyList<int> tokenIds) => Rows(tokenIds, static (_, row) =>
    {
        float[] result = new float[row.Length];
        double logSum = LogprobsCalculator.LogSumExp(row);
        for (int id = 0; id < result.Length; id++)
            result[id] = (float)(row[id] - logSum);
        return result;
    });

    /// <summary>How far this engine's model is from another's, after every token of a sequence: the Kullback-Leibler divergence KL(reference || model), in nats.</summary>
    /// <param name="tokenIds">The tokens as they are fed: no BOS is added.</param>
    /// <param name="reference">What the other model's <see cref="LogSoftmax"/> gave for the same tokens.</param>
    /// <returns>[numTokens].</returns>
    /// <exception cref="ArgumentException">The reference is of other tokens or another vocabulary.</exception>
    /// <inheritdoc cref="Score(IReadOnlyList{int})" path="/exception"/>
    public IReadOnlyList<double> KlDivergence(IReadOnlyList<int> tokenIds, IReadOnlyList<float[]> reference)
    {
        ArgumentNullException.ThrowIfNull(tokenIds);
        ArgumentNullException.ThrowIfNull(reference);
        int vocabSize = _llm.Info.Config.VocabSize;
        if (reference.Count != tokenIds.Count || reference.Any(row => row.Length != vocabSize))
            throw new ArgumentException($"must have {tokenIds.Count} rows of {vocabSize}", nameof(reference));
        return Rows(tokenIds, (position, row) =>
        {
            double logSum = LogprobsCalculator.LogSumExp(row), sum = 0;
            float[] expected = reference[position];
            for (int id = 0; id < expected.Length; id++)
                sum += Math.Exp(expected[id]) * (expected[id] - (row[id] - logSum));
            return sum;
        });
    }

    /// <summary>The logits after every token of a sequence: [numTokens][vocabSize].</summary>
    internal IReadOnlyList<float[]> Logits(IReadOnlyList<int> tokenIds) => Rows(tokenIds, static (_, row) => row.ToArray());

    /// <summary>Divides a text as <see cref="ScoreText"/> does.</summary>
    internal IReadOnlyList<ScoringWindow> Divide(IReadOnlyList<int> tokenIds, ScoringWindows? windows) => (windows ?? new ScoringWindows()).Divide(
        tokenIds, _llm.Tokenizer is { AddBosToken: true } tokenizer ? tokenizer.BosTokenId : null, _llm.Info.Memory.MaxModelLen);

    private T[] Rows<T>(IReadOnlyList<int> tokenIds, Func<int, ReadOnlySpan<float>, T> read)
    {
        ArgumentNullException.ThrowIfNull(tokenIds);
        T[] results = new T[tokenIds.Count];
        Run([new RowSink(tokenIds, (position, row) => results[position] = read(position, row))], null, CancellationToken.None);
        return results;
    }

    private void Run(IReadOnlyList<RowSink> sinks, IProgress<int>? progress, CancellationToken cancellationToken)
    {
        var outputs = _llm.Generate(sinks.Select(sink => (Prompt.FromTokens(sink.TokenIds),
            (SamplingParams?)new SamplingParams { Temperature = 0, MaxTokens = 1, IgnoreEos = true, PromptLogits = sink })), progress, cancellationToken);
        for (int s = 0; s < sinks.Count; s++)
        {
            if ((sinks[s].Error ?? outputs[s].Outputs[0].Error) is { } error)
                throw new ScoringException(sinks.Count == 1 ? error : $"sequence {s}: {error}");
        }
    }

    /// <summary>Tells the share of windows that are done.</summary>
    private sealed class ShareOf(int count, IProgress<double> progress) : IProgress<int>
    {
        public void Report(int value) => progress.Report((double)value / count);
    }
}
