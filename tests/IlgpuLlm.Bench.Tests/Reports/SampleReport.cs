using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Benchmarking;

namespace IlgpuLlm.Bench.Tests.Reports;

/// <summary>A report as one of a GPU run of the Llama shape would be, with figures that are easy to reckon with.</summary>
internal static class SampleReport
{
    public static BenchReport Create(double rate = 100) => new()
    {
        Benchmark = "IlgpuLlm",
        ProgramVersion = "1",
        Started = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero),
        DurationSeconds = 60,
        Model = new ModelReport("llama", "LlamaForCausalLM", 6_738_415_616, 13.2e9, HasRandomWeights: true),
        Machine = new MachineReport
        {
            Device = "cuda:0",
            DeviceDescription = "NVIDIA H100",
            OperatingSystem = "Linux",
            Runtime = ".NET",
            NumCpuCores = 16,
            CopyGigabytesPerSecond = 3000,
            LimitGigabytesPerSecond = 3350,
            PeakTeraflops = 989,
        },
        Settings = new SettingsReport("Why?", 3, 512, 0.1f, false, [1, 8], 128, 64, "built in", null),
        Precisions = [Precision("float16", rate), new PrecisionReport { Precision = "int4", Problem = "no such folder" }],
        Published = PublishedFigures.Of("llama"),
    };

    private static PrecisionReport Precision(string name, double rate) => new()
    {
        Precision = name,
        Folder = "llama",
        TokensPerSecond = SeedRate.Of([rate - 1, rate + 1]),
        MemoryUsageMb = 70_000,
        Memory = new MemoryReport(13_000_000_000, 1_000_000_000, 50_000_000_000, 70_000_000_000),
        Single = new SingleReport
        {
            NumRepetitions = 2,
            IsWarm = true,
            NumPromptTokens = 10,
            MeanTokens = 512,
            TtftMs = 5,
            FirstTtftMs = 50,
            PrefillTokensPerSecond = 2000,
            DecodeTokensPerSecond = rate,
            InterTokenMs = new LatencyPercentiles(10, 10, 11, 12),
            DecodeGigabytesPerSecond = rate * 13.2,
            PercentOfCopy = 44,
            PercentOfLimit = 39,
            SeedPercentOfLimit = 38,
            WeightBytesPerStep = 13_200_000_000,
        },
        Batches = [Batch(1, rate), Batch(8, 7 * rate)],
    };

    private static LatencyResult Batch(int batchSize, double rate) => new()
    {
        BatchSize = batchSize,
        InputLen = 128,
        OutputLen = 64,
        PrefillTokensPerSecond = 20_000,
        TimeToFirstTokenMs = 6.4,
        PrefillTeraflops = 260,
        PrefillGigabytesPerSecond = 2000,
        DecodeTokensPerSecond = rate,
        StepMs = 1000 * batchSize / rate,
        WeightGigabytesPerSecond = rate / batchSize * 13.2,
        KvGigabytesPerSecond = 10,
        CopyGigabytesPerSecond = 3000,
    };
}
