namespace IlgpuLlm.Bench.Reports;

/// <summary>A figure that was published elsewhere, not measured here.</summary>
/// <param name="Engine">The engine.</param>
/// <param name="Hardware">What it ran on.</param>
/// <param name="Precision">The row's name.</param>
/// <param name="TokensPerSecond">Mean.</param>
/// <param name="Std">Its standard deviation.</param>
/// <param name="MemoryUsageMb">In MB.</param>
/// <param name="WeightBytesPerStep">Bytes of weights that a step must read, by the model's shape.</param>
/// <param name="LimitGigabytesPerSecond">The card's bandwidth by its data sheet.</param>
/// <param name="Note">What must be known to read it; empty: nothing.</param>
internal sealed record PublishedFigure(string Engine, string Hardware, string Precision, double TokensPerSecond, double Std, double MemoryUsageMb,
    double WeightBytesPerStep, double LimitGigabytesPerSecond, string Note)
{
    /// <summary>The weights read at this rate, as a share of the card's bandwidth.</summary>
    public double PercentOfLimit => 100 * TokensPerSecond * WeightBytesPerStep / 1e9 / LimitGigabytesPerSecond;
}

/// <summary>
/// The seed's figures of vLLM 0.4: an A100 80GB, one sequence, 512 new tokens, 10 repetitions, temperature 0.1, whole wall time without warm-up. Memory is the
/// whole card's, of which vLLM reserves 90 % in advance.
/// </summary>
internal static class PublishedFigures
{
    private const string Engine = "vLLM 0.4", Hardware = "A100 80GB";
    private const double A100GigabytesPerSecond = 2039; // SXM, data sheet; the PCIe card has 1,935
    private const string Float32Note = "ran in float16: setting dtype after loading has no effect";

    /// <summary>Those of a model; none for others than <c>llama</c> and <c>mistral</c>.</summary>
    public static IReadOnlyList<PublishedFigure> Of(string model) => model switch
    {
        // Parameters of the layers' matrices; the output layer has 32,000 x 4,096.
        "llama" =>
        [
            Figure("float32", 89.40, 0.22, 77928.07, Floats(6_476_005_376), Float32Note), Figure("float16", 89.43, 0.19, 77928.07, Floats(6_476_005_376)),
            Figure("int4", 115.52, 0.49, 77768.69, Awq(6_476_005_376)),
        ],
        "mistral" =>
        [
            Figure("float32", 84.91, 0.27, 73568.09, Floats(6_979_321_856), Float32Note), Figure("float16", 84.89, 0.28, 73790.39, Floats(6_979_321_856)),
            Figure("int4", 106.03, 0.53, 74016.88, Awq(6_979_321_856)),
        ],
        _ => [],
    };

    private const double OutputLayer = 32_000.0 * 4096;

    private static double Floats(double layers) => 2 * (layers + OutputLayer);

    // A scale of 16 bits and a zero point of 4 bits for each group of 128.
    private static double Awq(double layers) => layers * (4 + 20.0 / 128) / 8 + 2 * OutputLayer;

    private static PublishedFigure Figure(string precision, double rate, double std, double memory, double weightBytes, string note = "") =>
        new(Engine, Hardware, precision, rate, std, memory, weightBytes, A100GigabytesPerSecond, note);
}
