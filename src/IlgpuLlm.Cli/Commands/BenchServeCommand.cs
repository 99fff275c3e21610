using System.CommandLine;
using System.Globalization;
using IlgpuLlm.Bench;
using IlgpuLlm.Bench.Serving;
using IlgpuLlm.Cli.Options;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm bench serve</c>: requests that come by themselves.</summary>
internal static class BenchServeCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console)
    {
        var defaults = new ServingRequest();
        var engine = new EngineOptionSet();
        var numPrompts = OptionFactory.Number<int>("--num-prompts", "N", $"Requests at each rate. Default: {defaults.NumPrompts}.").WithAliases("--requests");
        var rates = OptionFactory.Text("--request-rate", "LIST", "Requests a second; inf: all at once. Several, 1,2,4,8, make a latency-throughput curve. Default: inf.")
            .WithAliases("--rate");
        var dist = OptionFactory.Text("--dist", "NAME", "How requests come: poisson, gamma (see --burstiness) or constant. Default: poisson, or gamma with --burstiness.");
        var burstiness = OptionFactory.Number<double>("--burstiness", "X", "Shape of the gamma distribution: below 1 bursts, 1 is poisson, above 1 more even. Default: 1.");
        var maxConcurrency = OptionFactory.Number<int>("--max-concurrency", "N", "Most requests at a time; the others are sent later, and latencies count from then. Default: no limit.");
        var inputLen = OptionFactory.Number<int>("--random-input-len", "N", $"Prompt tokens. Default: {defaults.InputLen}.").WithAliases("--input-len");
        var outputLen = OptionFactory.Number<int>("--random-output-len", "N", $"New tokens. Default: {defaults.OutputLen}.").WithAliases("--output-len");
        var rangeRatio = OptionFactory.Number<double>("--random-range-ratio", "R", "Lengths are drawn from [length * (1 - R), length * (1 + R)]. Default: 0.");
        var percentiles = OptionFactory.Numbers<double>("--metric-percentiles", "Percentiles of all latencies. Default: 50,90,95,99.");
        var goodput = OptionFactory.Texts("--goodput", "METRIC:MS", "What a request must keep to count as good: ttft:200 tpot:50 e2el:5000; several after one another.");
        goodput.AllowMultipleArgumentsPerToken = true;
        var seed = OptionFactory.Number<int>("--seed", "S", "Of lengths, prompts and arrivals. Default: 0.");
        var html = OptionFactory.Text("--html", "FILE", "Writes table and curves as a page.");
        var json = OptionFactory.Flag("--json", "Prints a JSON object a rate.");
        var command = new Command("serve", "Requests that come at a rate, as clients of a server: TTFT, TPOT, ITL and E2E latencies, throughput, goodput.");
        foreach (Option option in (Option[])[numPrompts, rates, dist, burstiness, maxConcurrency, inputLen, outputLen, rangeRatio, percentiles, goodput, seed, html, json])
            command.Options.Add(option);
        engine.AddTo(command);
        command.SetAction(async (parse, cancellationToken) =>
        {
            var request = defaults with
            {
                NumPrompts = parse.GetValue(numPrompts) ?? defaults.NumPrompts,
                RequestRates = parse.GetValue(rates) is { } list ? Rates(list) : defaults.RequestRates,
                Distribution = Distribution(parse.GetValue(dist), parse.GetValue(burstiness) is not null),
                Burstiness = parse.GetValue(burstiness) ?? defaults.Burstiness,
                MaxConcurrency = parse.GetValue(maxConcurrency),
                InputLen = parse.GetValue(inputLen) ?? defaults.InputLen,
                OutputLen = parse.GetValue(outputLen) ?? defaults.OutputLen,
                RangeRatio = parse.GetValue(rangeRatio) ?? defaults.RangeRatio,
                Percentiles = parse.GetValue(percentiles)?.Values ?? defaults.Percentiles,
                Goodput = Goodput(parse.GetValue(goodput) ?? []),
                Seed = parse.GetValue(seed) ?? defaults.Seed,
            };
            request.Validate();
            string? page = parse.GetValue(html);
            if (page is not null)
                Files.CheckWritable(page);
            await using var llm = await AsyncLLM.CreateAsync(engine.Read(parse), cancellationToken: cancellationToken).ConfigureAwait(false);
            var results = await new ServingBenchmark(llm, request).RunAsync(result => Report(console, result), cancellationToken).ConfigureAwait(false);
            BenchCommand.Write(console, parse.GetValue(json), results, ServingPage.Columns(request));
            if (page is not null)
                ServingPage.Write(page, llm.Info, request, results);
            return results.Any(r => r.Failed > 0) ? ExitCode.Failure : ExitCode.Success;
        });
        return command;
    }

    private static void Report(CliConsole console, ServingResult result)
    {
        if (console.IsErrorTerminal)
            console.Error.WriteLine(FormattableString.Invariant($"rate {result.RequestRate?.ToString(CultureInfo.InvariantCulture) ?? "inf"}: {result.RequestThroughput:F2} requests/s"));
    }

    private static double[] Rates(string list) => [.. list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(text =>
        text == "inf" ? double.PositiveInfinity
        : double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double rate) ? rate
        : throw new InvalidOptionException("request-rate", $"'{text}' is not a number or inf"))];

    private static ArrivalDistribution Distribution(string? name, bool hasBurstiness) => name switch
    {
        null => hasBurstiness ? ArrivalDistribution.Gamma : ArrivalDistribution.Poisson,
        "gamma" => ArrivalDistribution.Gamma,
        _ when hasBurstiness => throw new InvalidOptionException("burstiness", $"does not go with --dist {name}: it is the shape of the gamma distribution"),
        "poisson" => ArrivalDistribution.Poisson,
        "constant" => ArrivalDistribution.Constant,
        _ => throw new InvalidOptionException("dist", $"'{name}' is not a distribution; supported: poisson, gamma, constant"),
    };

    private static Dictionary<string, double> Goodput(string[] pairs)
    {
        Dictionary<string, double> limits = [];
        foreach (string pair in pairs)
        {
            string[] parts = pair.Split(':');
            if (parts.Length != 2 || !double.TryParse(parts[1], NumberStyles.Float, CultureInfo.InvariantCulture, out double limit))
                throw new InvalidOptionException("goodput", $"'{pair}' is not a metric with its limit in ms, such as ttft:200");
            limits[parts[0]] = limit;
        }
        return limits;
    }
}
