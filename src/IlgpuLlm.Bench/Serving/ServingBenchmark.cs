using IlgpuLlm.Outputs;

namespace IlgpuLlm.Bench.Serving;

/// <summary>
/// Requests that come by themselves, whether or not those before them are done, as clients of a server: random prompts, greedy, end of sequence ignored. After vLLM's
/// <c>bench serve</c>, without a network between.
/// </summary>
internal sealed class ServingBenchmark(AsyncLLM llm, ServingRequest request)
{
    private int _numRunning, _maxRunning;

    /// <summary>Runs all requests at each rate, after one that warms up.</summary>
    /// <param name="report">Told of each result.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="InvalidOptionException">A number is out of range.</exception>
    /// <exception cref="InvalidRequestException">The engine cannot hold such requests.</exception>
    public async Task<IReadOnlyList<ServingResult>> RunAsync(Action<ServingResult> report, CancellationToken cancellationToken)
    {
        request.Validate();
        int longest = llm.Info.Memory.MaxModelLen;
        if (request.MaxInputLen + request.MaxOutputLen > longest)
        {
            throw new InvalidOptionException("random-input-len", FormattableString.Invariant(
                $"prompts of up to {request.MaxInputLen} tokens and {request.MaxOutputLen} new ones do not fit max-model-len, {longest}"));
        }
        var prompts = Prompts();
        // As vLLM: the first request runs once before all, and what is wrong with it ends the benchmark.
        var warmup = await SendAsync(prompts[0], OutputProcessor.Now, cancellationToken).ConfigureAwait(false);
        if (warmup.Error is not null)
            throw new InvalidRequestException("prompt", warmup.Error);
        List<ServingResult> results = [];
        foreach (double rate in request.RequestRates)
        {
            results.Add(await RunAsync(prompts, rate, cancellationToken).ConfigureAwait(false));
            report(results[^1]);
        }
        return results;
    }

    private List<(Prompt Prompt, int InputLen, int OutputLen)> Prompts()
    {
        var random = new Random(request.Seed);
        int vocab = llm.Info.Config.VocabSize;
        return [.. Enumerable.Range(0, request.NumPrompts).Select(_ =>
        {
            int inputLen = Draw(random, request.InputLen, request.MaxInputLen), outputLen = Draw(random, request.OutputLen, request.MaxOutputLen);
            return (Prompt.FromTokens([.. Enumerable.Range(0, inputLen).Select(_ => random.Next(vocab))]), inputLen, outputLen);
        })];
    }

    private int Draw(Random random, int length, long longest) => random.Next(Math.Max(1, (int)Math.Floor(length * (1 - request.RangeRatio))), (int)longest + 1);

    private async Task<ServingResult> RunAsync(List<(Prompt Prompt, int InputLen, int OutputLen)> prompts, double rate, CancellationToken cancellationToken)
    {
        double[] times = Arrivals.Times(prompts.Count, rate, request.Distribution, request.Burstiness, new Random(request.Seed));
        (_numRunning, _maxRunning) = (0, 0);
        using var places = request.MaxConcurrency is { } most ? new SemaphoreSlim(most) : null;
        double start = OutputProcessor.Now;
        var tasks = new List<Task<ServedRequest>>(prompts.Count);
        for (int i = 0; i < prompts.Count; i++)
        {
            double due = start + times[i], wait = due - OutputProcessor.Now;
            if (wait > 0)
                await Task.Delay(TimeSpan.FromSeconds(wait), cancellationToken).ConfigureAwait(false);
            tasks.Add(SendAsync(prompts[i], due, places, cancellationToken));
        }
        var served = await Task.WhenAll(tasks).ConfigureAwait(false);
        return Result(rate, served, start);
    }

    private async Task<ServedRequest> SendAsync((Prompt, int, int) prompt, double due, SemaphoreSlim? places, CancellationToken cancellationToken)
    {
        if (places is not null)
            await places.WaitAsync(cancellationToken).ConfigureAwait(false);
        int running = Interlocked.Increment(ref _numRunning);
        for (int most = _maxRunning; running > most; most = _maxRunning)
            Interlocked.CompareExchange(ref _maxRunning, running, most);
        try
        {
            // As in vLLM, a request that waits for its place has not been sent yet.
            return await SendAsync(prompt, places is null ? due : OutputProcessor.Now, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _numRunning);
            places?.Release();
        }
    }

    private async Task<ServedRequest> SendAsync((Prompt Prompt, int InputLen, int OutputLen) prompt, double due, CancellationToken cancellationToken)
    {
        var sampling = new SamplingParams { Temperature = 0, IgnoreEos = true, MaxTokens = prompt.OutputLen, OutputKind = RequestOutputKind.Delta };
        List<double> times = [];
        string? error = null;
        await foreach (var output in llm.GenerateAsync(prompt.Prompt, sampling, cancellationToken: cancellationToken).ConfigureAwait(false))
        {
            for (int i = 0; i < output.Outputs[0].TokenIds.Count; i++)
                times.Add(output.Metrics.LastTokenTime);
            error = output.Outputs[0].Error;
        }
        if (error is null && times.Count != prompt.OutputLen)
            error = FormattableString.Invariant($"ended after {times.Count} of {prompt.OutputLen} tokens");
        return new ServedRequest(prompt.InputLen, due, times, error);
    }

    private ServingResult Result(double rate, ServedRequest[] served, double start)
    {
        var done = served.Where(r => r.Error is null).ToList();
        double duration = done.Count == 0 ? 0 : done.Max(r => r.TokenTimes[^1]) - start;
        long input = done.Sum(r => (long)r.InputLen), output = done.Sum(r => (long)r.TokenTimes.Count);
        double PerSecond(double amount) => duration > 0 ? amount / duration : 0;
        return new ServingResult
        {
            RequestRate = double.IsPositiveInfinity(rate) ? null : rate,
            Distribution = request.Distribution.ToString().ToLowerInvariant(),
            Burstiness = request.Burstiness,
            MaxConcurrency = request.MaxConcurrency,
            Completed = done.Count,
            Failed = served.Length - done.Count,
            Duration = duration,
            TotalInputTokens = input,
            TotalOutputTokens = output,
            RequestThroughput = PerSecond(done.Count),
            RequestGoodput = request.Goodput.Count == 0 ? null : PerSecond(done.Count(r => r.IsGood(request.Goodput))),
            OutputThroughput = PerSecond(output),
            TotalTokenThroughput = PerSecond(input + output),
            MaxConcurrentRequests = _maxRunning,
            TtftMs = ServingLatency.Of(done.Select(r => r.Ttft), request.Percentiles),
            TpotMs = ServingLatency.Of(done.Select(r => r.Tpot).OfType<double>(), request.Percentiles),
            ItlMs = ServingLatency.Of(done.SelectMany(r => r.Itl), request.Percentiles),
            E2elMs = ServingLatency.Of(done.Select(r => r.E2el), request.Percentiles),
        };
    }
}
