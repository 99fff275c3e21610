using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>
/// Reads how a checkpoint is quantized: <c>quantization_config</c> of config.json, or the files of their own that early AutoAWQ and AutoGPTQ wrote.
/// Old and new spellings of the keys are known.
/// </summary>
internal static class QuantizationConfigReader
{
    private const int MaxFileBytes = 1 << 20;
    private const int MaxNumber = 1 << 22;

    // The group sizes that kernels are made for; -1 makes a whole row a group.
    public static readonly int[] GroupSizes = [QuantizationFormat.WholeRow, 32, 64, 128];

    private static readonly (string Name, string Method)[] Files = [("quant_config.json", "awq"), ("quantize_config.json", "gptq")];

    /// <summary>Reads the file that lies in a model folder whose config.json does not mention quantization; null where there is none.</summary>
    /// <exception cref="CheckpointException">It is malformed, or describes what is not supported.</exception>
    public static QuantizationConfig? ReadFolder(string folder)
    {
        foreach (var (name, method) in Files)
        {
            string file = Path.Combine(folder, name);
            if (File.Exists(file))
                return Parse(JsonFields.ReadFile(file, MaxFileBytes), method);
        }
        return null;
    }

    /// <summary>Reads the object.</summary>
    /// <param name="json">The object.</param>
    /// <param name="defaultMethod">The method of an object that names none; null: it must name one.</param>
    /// <exception cref="CheckpointException">A value is of the wrong type or not supported.</exception>
    public static QuantizationConfig Parse(JsonFields json, string? defaultMethod = null) => (json.String("quant_method") ?? defaultMethod) switch
    {
        "awq" => ParseAwq(json),
        "gptq" => ParseGptq(json),
        _ => throw json.Error("quant_method", "must be awq or gptq; other quantized checkpoints are not supported"),
    };

    private static QuantizationConfig ParseAwq(JsonFields json)
    {
        // Early files say GEMM, later ones gemm; GEMV and Marlin have layouts of their own.
        if (json.String("version") is { } version && !version.Equals("gemm", StringComparison.OrdinalIgnoreCase))
            throw json.Error("version", "must be gemm, the one AWQ layout that is supported");
        if (json.Bool("zero_point") == false)
            throw json.Error("zero_point", "must be true: AWQ without zero points is not supported");
        string bits = json.Contains("w_bit") ? "w_bit" : "bits", groupSize = json.Contains("q_group_size") ? "q_group_size" : "group_size";
        return new QuantizationConfig
        {
            Method = QuantizationMethod.Awq,
            Format = new QuantizationFormat(ReadOneOf(json, bits, [4]), ReadOneOf(json, groupSize, GroupSizes)),
            ModulesToNotConvert = ReadModulesToNotConvert(json),
        };
    }

    private static QuantizationConfig ParseGptq(JsonFields json)
    {
        string? format = json.String("checkpoint_format");
        if (format is not (null or "gptq" or "gptq_v2"))
            throw json.Error("checkpoint_format", "must be gptq or gptq_v2");
        if (json.Bool("is_marlin_format") == true)
            throw json.Error("is_marlin_format", "must be false: the Marlin layout is not supported");
        if (json.Object("dynamic") is { Names.Count: > 0 })
            throw json.Error("dynamic", "must be absent or empty: layers of different bits or group sizes are not supported");
        // Both are told by the tensors themselves; here only their type is checked.
        json.Bool("desc_act");
        json.Bool("sym");
        return new QuantizationConfig
        {
            Method = QuantizationMethod.Gptq,
            Format = new QuantizationFormat(ReadOneOf(json, "bits", [4, 8]), ReadOneOf(json, "group_size", GroupSizes)),
            ModulesToNotConvert = ReadModulesToNotConvert(json),
            StoresZerosMinusOne = format is not "gptq_v2",
        };
    }

    private static int ReadOneOf(JsonFields json, string name, int[] allowed)
    {
        string limit = allowed.Length == 1 ? $"must be {allowed[0]}" : $"must be {string.Join(", ", allowed[..^1])} or {allowed[^1]}";
        return json.Int(name, -MaxNumber, MaxNumber) is { } value && allowed.Contains(value) ? value : throw json.Error(name, limit);
    }

    private static IReadOnlyList<string> ReadModulesToNotConvert(JsonFields json)
    {
        const string Name = "modules_to_not_convert";
        var modules = json.Strings(Name);
        return modules.Contains("") ? throw json.Error(Name, "must not name an empty module") : modules;
    }
}
