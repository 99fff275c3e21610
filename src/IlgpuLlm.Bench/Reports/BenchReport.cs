using IlgpuLlm.Bench.Quality;
using IlgpuLlm.Benchmarking;

namespace IlgpuLlm.Bench.Reports;

/// <summary>A run: report.json. Names end in units; rates are tokens a second; MB and GB are 10^6 and 10^9 bytes.</summary>
internal sealed record BenchReport
{
    /// <summary>Changes when a field's meaning does.</summary>
    public const int CurrentVersion = 1;

    public int FormatVersion { get; init; } = CurrentVersion;

    /// <summary>The name in the log's lines.</summary>
    public required string Benchmark { get; init; }

    /// <summary>The program's version, with its commit where the build knows it.</summary>
    public required string ProgramVersion { get; init; }

    /// <summary>When it began, local time with offset.</summary>
    public required DateTimeOffset Started { get; init; }

    public required double DurationSeconds { get; init; }

    public required ModelReport Model { get; init; }

    public required MachineReport Machine { get; init; }

    public required SettingsReport Settings { get; init; }

    /// <summary>One a precision that was asked for, also where it could not be run.</summary>
    public required IReadOnlyList<PrecisionReport> Precisions { get; init; }

    /// <summary>What others published of this model, for the same prompt; empty where nothing is.</summary>
    public required IReadOnlyList<PublishedFigure> Published { get; init; }
}

/// <summary>The model.</summary>
/// <param name="Name">As asked for.</param>
/// <param name="Architecture">As config.json has it.</param>
/// <param name="NumParameters">Weights.</param>
/// <param name="FlopsPerToken">Multiplications and additions with weights for a token, attention left out.</param>
/// <param name="HasRandomWeights">Whether they mean nothing.</param>
internal sealed record ModelReport(string Name, string Architecture, long NumParameters, double FlopsPerToken, bool HasRandomWeights);

/// <summary>The machine.</summary>
internal sealed record MachineReport
{
    /// <summary>As --device names it.</summary>
    public required string Device { get; init; }

    public required string DeviceDescription { get; init; }

    public required string OperatingSystem { get; init; }

    public required string Runtime { get; init; }

    public required int NumCpuCores { get; init; }

    /// <summary>Bytes read and written by a large copy, measured at the start of the run.</summary>
    public required double CopyGigabytesPerSecond { get; init; }

    /// <summary>The memory's bandwidth by the vendor's data sheet; null where it is not known.</summary>
    public required double? LimitGigabytesPerSecond { get; init; }

    /// <summary>Dense float16 products by the vendor's data sheet; null where it is not known.</summary>
    public required double? PeakTeraflops { get; init; }
}

/// <summary>What was asked for.</summary>
internal sealed record SettingsReport(string Prompt, int Repetitions, int MaxTokens, float Temperature, bool IgnoreEos, IReadOnlyList<int> BatchSizes, int InputLen,
    int OutputLen, string Questions, string? GroundTruth);

/// <summary>One precision.</summary>
internal sealed record PrecisionReport
{
    public required string Precision { get; init; }

    /// <summary>The checkpoint; null: none was found.</summary>
    public string? Folder { get; init; }

    /// <summary>Why there are no figures; null: there are.</summary>
    public string? Problem { get; init; }

    public double LoadSeconds { get; init; }

    /// <summary>As the seed's benchmark counts: new tokens over the wall time of all that a request takes, no run left out.</summary>
    public SeedRate? TokensPerSecond { get; init; }

    /// <summary>The most memory in use, in MB: the whole card's on a GPU, the process's growth on a CPU.</summary>
    public double MemoryUsageMb { get; init; }

    public MemoryReport? Memory { get; init; }

    /// <summary>What the seed's figure hides.</summary>
    public SingleReport? Single { get; init; }

    /// <summary>Batches of random prompts.</summary>
    public IReadOnlyList<LatencyResult> Batches { get; init; } = [];

    public QualityReport? Quality { get; init; }

    /// <summary>Why the questions could not be scored; null: they were, or were not asked.</summary>
    public string? QualityProblem { get; init; }
}

/// <summary>Rates of the repetitions.</summary>
/// <param name="Mean">Their mean.</param>
/// <param name="Std">Their standard deviation, as numpy.std.</param>
/// <param name="Values">Each, in order.</param>
internal sealed record SeedRate(double Mean, double Std, IReadOnlyList<double> Values)
{
    public static SeedRate Of(IReadOnlyList<double> values) => new(Statistics.Mean(values), Statistics.StandardDeviation(values), values);
}

/// <summary>What the engine allocates on the device, in bytes.</summary>
internal sealed record MemoryReport(long WeightBytes, long WorkspaceBytes, long KvCacheBytes, long PeakBytes);
