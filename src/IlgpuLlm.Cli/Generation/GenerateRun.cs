using IlgpuLlm.Cli.Options;
using IlgpuLlm.Cli.Output;
using IlgpuLlm.Engine;
using Microsoft.Extensions.Logging;

namespace IlgpuLlm.Cli.Generation;

/// <summary>Loads the model, completes the prompts, and prints what came.</summary>
internal sealed class GenerateRun(GenerateRequest request, CliConsole console)
{
    /// <returns>The exit code: a failure if one of the completions failed.</returns>
    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        using var loggers = request.Verbose ? Logging.Create(console) : null;
        var (failures, statistics) = request.IsStream
            ? await StreamAsync(loggers, cancellationToken).ConfigureAwait(false)
            : await BatchAsync(loggers, cancellationToken).ConfigureAwait(false);
        foreach (string failure in failures)
            console.Error.WriteLine(ErrorReport.OneLine(failure));
        if (request.Stats)
            statistics.WriteTo(console.Error);
        return failures.Count == 0 ? ExitCode.Success : ExitCode.Failure;
    }

    private async Task<(IReadOnlyList<string> Failures, RunStatistics Statistics)> StreamAsync(ILoggerFactory? loggers, CancellationToken cancellationToken)
    {
        await using var llm = await ModelLoading.LoadAsync(console, request.Engine, request.Verbose, options => AsyncLLM.CreateAsync(options, loggers, cancellationToken), cancellationToken).ConfigureAwait(false);
        var sampling = SamplingFor(llm.Info, llm.DefaultSamplingParams) with { OutputKind = RequestOutputKind.Delta };
        var statistics = new RunStatistics(llm.Info);
        List<string> failures = [];
        await foreach (var output in llm.GenerateAsync(request.Prompts[0], sampling, cancellationToken: cancellationToken).ConfigureAwait(false))
        {
            var completion = output.Outputs[0];
            console.Out.Write(completion.Text);
            console.Out.Flush();
            statistics.Add(output);
            if (completion.FinishReason == FinishReason.Error)
                failures.Add($"the request failed: {completion.Error}");
        }
        console.Out.WriteLine();
        console.Out.Flush();
        return (failures, statistics);
    }

    private async Task<(IReadOnlyList<string> Failures, RunStatistics Statistics)> BatchAsync(ILoggerFactory? loggers, CancellationToken cancellationToken)
    {
        using var llm = await ModelLoading.LoadAsync(console, request.Engine, request.Verbose, options => Task.Run(() => new LLM(options, loggers), cancellationToken), cancellationToken).ConfigureAwait(false);
        var sampling = SamplingFor(llm.Info, llm.DefaultSamplingParams);
        var outputs = await ProgressDisplay.RunAsync(console, "generating", request.Verbose, report => Task.Run(() => llm.Generate(request.Prompts, sampling,
            new SynchronousProgress<int>(numDone => report(numDone / (double)request.Prompts.Count)), cancellationToken), cancellationToken)).ConfigureAwait(false);
        var statistics = new RunStatistics(llm.Info) { NumSteps = llm.NumSteps };
        foreach (var output in outputs)
            statistics.Add(output);
        if (request.Json)
            JsonResult.Write(outputs, console.Out);
        else
            TextResult.Write(outputs, console.Out);
        console.Out.Flush();
        return (Failures(outputs), statistics);
    }

    private SamplingParams SamplingFor(EngineInfo info, SamplingParams defaults)
    {
        int maxTokens = info.GenerationConfig.MaxNewTokens ?? SamplingOptionSet.DefaultMaxTokens;
        return request.SamplingOver(defaults, maxTokens);
    }

    private static List<string> Failures(IReadOnlyList<RequestOutput> outputs)
    {
        List<string> failures = [];
        for (int i = 0; i < outputs.Count; i++)
        {
            foreach (var completion in outputs[i].Outputs.Where(o => o.FinishReason == FinishReason.Error))
                failures.Add($"prompt {i + 1} of {outputs.Count}, completion {completion.Index + 1}: {completion.Error}");
        }
        return failures;
    }
}
