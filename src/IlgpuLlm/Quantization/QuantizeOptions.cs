using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Quantization;

/// <summary>What <see cref="ModelQuantizer"/> makes of what.</summary>
public sealed record QuantizeOptions
{
    /// <summary>The folder of a model of floats, in Hugging Face layout; null: the embedded demo model.</summary>
    public string? Model { get; init; }

    /// <summary>The folder to write: it must be empty or not exist.</summary>
    public required string Output { get; init; }

    /// <summary><c>awq</c> (activation-aware scales and ranges) or <c>rtn</c> (round to nearest; needs no calibration).</summary>
    public string Method { get; init; } = "awq";

    /// <summary>4: AutoAWQ's GEMM layout, by either method. 8: AutoGPTQ's layout, symmetric, by <c>rtn</c>.</summary>
    public int Bits { get; init; } = 4;

    /// <summary>Inputs that share a scale: 32, 64, 128, or -1, all of a row. It must divide the hidden size and the width of all heads.</summary>
    public int GroupSize { get; init; } = 128;

    /// <summary>The text that inputs are measured on; null: texts that the model makes itself, seeded.</summary>
    public string? CalibrationText { get; init; }

    /// <summary>The most sequences of the calibration. AutoAWQ's default.</summary>
    public int CalibrationSequences { get; init; } = 128;

    /// <summary>The tokens of each, BOS included; less where the model's context is shorter. AutoAWQ's default.</summary>
    public int CalibrationLength { get; init; } = 512;

    /// <summary>Where the calibration is computed, as <see cref="EngineOptions.Device"/>.</summary>
    public string Device { get; init; } = "auto";

    /// <summary>CPU threads of the engine; 0: one for each physical core.</summary>
    public int NumThreads { get; init; }

    /// <summary>Told how much is done, from 0 to 1.</summary>
    public IProgress<double>? Progress { get; init; }

    internal QuantizationFormat Format => new(Bits, GroupSize);

    /// <summary>The layout that is written.</summary>
    internal QuantizationMethod Layout => Bits == 4 ? QuantizationMethod.Awq : QuantizationMethod.Gptq;

    /// <summary>Checks what can be checked without the model.</summary>
    /// <exception cref="InvalidOptionException">An option is out of range, or two do not go together.</exception>
    public void Validate()
    {
        Require(Method is "awq" or "rtn", "method", Method, "is not supported; supported: awq, rtn");
        Require(Bits is 4 or 8, "bits", Bits, "is not supported; supported: 4, 8");
        Require(Bits == 4 || Method == "rtn", "method",
            Method, $"cannot have {Bits} bits: AWQ's layout holds 4; with 8, rounding to nearest loses next to nothing: rtn");
        Require(QuantizationConfigReader.GroupSizes.Contains(GroupSize), "group-size", GroupSize, "is not supported; supported: 32, 64, 128, -1 (a row)");
        Require(CalibrationSequences is >= 1 and <= 1 << 16, "calibration-sequences", CalibrationSequences, "must be in [1, 65536]");
        Require(CalibrationLength is >= 2 and <= 2048, "calibration-len", CalibrationLength, "must be in [2, 2048]");
        Require(NumThreads is >= 0 and <= 1024, "threads", NumThreads, "must be in [0, 1024]");
        Require(!string.IsNullOrWhiteSpace(Output), "out", Output, "is not a folder");
    }

    private static void Require<T>(bool holds, string option, T value, string limit)
    {
        if (!holds)
            throw new InvalidOptionException(option, FormattableString.Invariant($"{value} {limit}"));
    }
}
