using IlgpuLlm.Evaluation;

namespace IlgpuLlm.Bench.Quality;

/// <summary>Asks the questions in one precision after the other and scores the answers. The first precision is what the others' distributions are compared with.</summary>
/// <param name="questions">The questions.</param>
/// <param name="truth">Hugging Face's answers; null: the first precision's are the reference.</param>
/// <param name="model">The model's name, under which questions hold answers.</param>
/// <param name="systemIsUserTurn">As of <see cref="QualityPrompts.OfQuestion"/>.</param>
/// <param name="text">The text of the perplexity.</param>
internal sealed class QualityCheck(IReadOnlyList<Question> questions, GroundTruth? truth, string model, bool systemIsUserTurn, string text)
{
    private const long Seed = 0;

    private QualityReference? _reference;

    /// <summary>Runs all questions in one precision.</summary>
    /// <param name="llm">The engine.</param>
    /// <param name="precision">Its name.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="BenchException">The model has no tokenizer, and there is no ground truth with tokens; or the ground truth's tokens are not the model's.</exception>
    /// <exception cref="InvalidRequestException">A question does not fit the model.</exception>
    /// <exception cref="ScoringException">The model's logits are not finite.</exception>
    public QualityReport Run(LLM llm, string precision, CancellationToken cancellationToken)
    {
        if (llm.Tokenizer is null && truth is null)
            throw new BenchException(llm.Info.ModelFolder, "has no tokenizer, so questions need a ground truth that holds their tokens");
        truth?.CheckTokens(llm.Info.Config.VocabSize);
        var prompts = questions.Select(question => Prompt(llm, question)).ToList();
        var outputs = llm.Generate(questions.SelectMany((question, i) => Requests(question, prompts[i].Prompt)), cancellationToken: cancellationToken);
        if (outputs.Select(output => output.Outputs[0].Error).FirstOrDefault(e => e is not null) is { } error)
            throw new InvalidRequestException("prompt", $"a question failed: {error}");
        var greedy = questions.Select((_, i) => outputs[2 * i + 1]).ToList();
        var scorer = new TokenScorer(llm);
        var reference = _reference ?? Reference(llm, precision, greedy);
        var scores = new ReferenceScores(scorer, reference, _reference is not null, cancellationToken);
        if (_reference is null)
            reference.Distributions = [.. reference.Sequences.Select(scorer.LogSoftmax)];
        _reference = reference;
        var answers = questions.Select((question, i) => Answer(llm, question, outputs[2 * i].Outputs[0], greedy[i].Outputs[0], reference, i)).ToList();
        var score = llm.Tokenizer is { } tokenizer ? scorer.ScoreText(tokenizer.Encode(text, addSpecialTokens: false), cancellationToken: cancellationToken) : null;
        return new QualityReport
        {
            Reference = reference.Name,
            NumQuestions = questions.Count,
            ExactMatches = questions.Select((_, i) => greedy[i].Outputs[0].TokenIds.SequenceEqual(reference.Answers[i])).Count(isEqual => isEqual),
            MeanMatchTokens = answers.Average(answer => answer.MatchTokens),
            TokenMatchPercent = 100.0 * answers.Sum(answer => answer.MatchTokens) / answers.Sum(answer => answer.ReferenceTokens),
            Top1Percent = scores.Top1Percent,
            KlReference = scores.MeanKl is null ? null : reference.DistributionsOf,
            MeanKl = scores.MeanKl,
            MaxKl = scores.MaxKl,
            ReferencePerplexity = scores.Perplexity,
            TextPerplexity = score?.Perplexity,
            NumTextTokens = score?.NumTokens ?? 0,
            NumPromptsThatDiffer = truth is null || llm.Tokenizer is null ? null : prompts.Count(prompt => prompt.Differs),
            Answers = answers,
        };
    }

    /// <summary>The question's prompt: with a ground truth its tokens, whatever ours would be.</summary>
    private (Prompt Prompt, bool Differs) Prompt(LLM llm, Question question)
    {
        if (llm.Tokenizer is null)
            return (IlgpuLlm.Prompt.FromTokens(truth!.To(question).PromptTokenIds), false);
        var ours = QualityPrompts.OfQuestion(llm, question.Prompt, systemIsUserTurn);
        if (truth is null)
            return (ours, false);
        var theirs = truth.To(question).PromptTokenIds;
        return (IlgpuLlm.Prompt.FromTokens(theirs), !theirs.SequenceEqual(ours.TokenIds ?? llm.Tokenizer.Encode(ours.Text!)));
    }

    /// <summary>The answer that is shown, and the one that is scored.</summary>
    private static (Prompt, SamplingParams?)[] Requests(Question question, Prompt prompt)
    {
        var sampling = new SamplingParams { MaxTokens = question.MaxTokens, Temperature = question.Temperature, Seed = Seed };
        return [(prompt, sampling), (prompt, sampling with { Temperature = 0 })];
    }

    private QualityReference Reference(LLM llm, string precision, List<RequestOutput> greedy)
    {
        int longest = llm.Info.Memory.MaxModelLen - 1; // the scorer needs room for one more token
        return new QualityReference
        {
            Name = truth is null ? $"{precision} of this run" : $"Hugging Face Transformers {truth.Transformers}, {truth.Dtype}",
            DistributionsOf = $"{precision} of this run",
            Answers = [.. questions.Select((question, i) => truth?.To(question).TokenIds ?? greedy[i].Outputs[0].TokenIds)],
            Texts = [.. questions.Select((question, i) => truth?.To(question).Answer ?? Shown(llm, greedy[i].Outputs[0]))],
            PromptLengths = [.. greedy.Select(output => output.PromptTokenIds.Count)],
            Sequences = [.. questions.Select((question, i) => (IReadOnlyList<int>)[.. greedy[i].PromptTokenIds
                .Concat(truth?.To(question).TokenIds ?? greedy[i].Outputs[0].TokenIds).Take(longest)])],
        };
    }

    private QualityAnswer Answer(LLM llm, Question question, CompletionOutput actual, CompletionOutput greedy, QualityReference reference, int index) => new()
    {
        Question = question.Prompt,
        MaxToken = question.MaxTokens,
        Temperature = question.Temperature,
        Actual = Shown(llm, actual),
        Expected = question.Expected?.GetValueOrDefault(model) ?? reference.Texts[index],
        Greedy = Shown(llm, greedy),
        GreedyTokenIds = greedy.TokenIds,
        MatchTokens = greedy.TokenIds.Zip(reference.Answers[index]).TakeWhile(pair => pair.First == pair.Second).Count(),
        ReferenceTokens = reference.Answers[index].Count,
    };

    /// <summary>An answer for readers; without a tokenizer its tokens.</summary>
    private static string Shown(LLM llm, CompletionOutput completion) => llm.Tokenizer is null ? $"[{string.Join(',', completion.TokenIds)}]" : completion.Text;
}
