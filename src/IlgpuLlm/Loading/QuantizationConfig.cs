using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>What <c>quantization_config</c> says about a quantized checkpoint, checked.</summary>
public sealed record QuantizationConfig
{
    /// <summary><c>quant_method</c>.</summary>
    public required QuantizationMethod Method { get; init; }

    /// <summary>Bits and group size of all quantized layers.</summary>
    public required QuantizationFormat Format { get; init; }

    /// <summary><c>modules_to_not_convert</c>: modules whose name contains one of these are not quantized.</summary>
    public IReadOnlyList<string> ModulesToNotConvert { get; init; } = [];

    /// <summary>Whether the file holds each zero point less one, as GPTQ's first format (<c>checkpoint_format: gptq</c>) does.</summary>
    public bool StoresZerosMinusOne { get; init; }

    /// <summary>The method as it is spelled in files and options.</summary>
    public string MethodName => NameOf(Method);

    /// <summary>Whether a module is quantized by what the config says; the checkpoint's tensors have the last word.</summary>
    internal bool Converts(string module) => !ModulesToNotConvert.Any(name => module.Contains(name, StringComparison.Ordinal));

    internal static string NameOf(QuantizationMethod method) => method == QuantizationMethod.Awq ? "awq" : "gptq";
}
