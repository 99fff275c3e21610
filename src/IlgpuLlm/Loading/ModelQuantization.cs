using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>How the matrices of a model's layers are quantized on the device: as the checkpoint has them, or rounded to nearest while they are loaded.</summary>
/// <param name="Format">Their bits and groups.</param>
/// <param name="Checkpoint">The checkpoint's quantization; null: it holds floats.</param>
/// <param name="ConfigFile">The path of config.json, for messages.</param>
internal sealed record ModelQuantization(QuantizationFormat Format, QuantizationConfig? Checkpoint, string ConfigFile)
{
    // vLLM's and AutoAWQ's default, and what is tried where it does not divide a model's widths.
    private static readonly int[] GroupSizes = [128, 64, 32];

    /// <summary>What the options make of a model; null: its layers are not quantized.</summary>
    /// <param name="requested"><see cref="EngineOptions.Quantization"/>, or the same by <see cref="EngineOptions.DType"/>.</param>
    /// <param name="config">The model.</param>
    /// <param name="configFile">Its file.</param>
    /// <exception cref="InvalidOptionException">The checkpoint is not what was requested.</exception>
    public static ModelQuantization? Resolve(string requested, ModelConfig config, string configFile)
    {
        var checkpoint = config.Quantization;
        int? bits = requested switch { "int4" => 4, "int8" => 8, _ => null };
        if (checkpoint is null)
        {
            if (requested is "awq" or "gptq")
                throw new InvalidOptionException("quantization", $"{requested} needs a checkpoint that is quantized by it; {configFile} has no quantization_config");
            return bits is null ? null : new ModelQuantization(new QuantizationFormat(bits.Value, GroupSizeFor(config)), null, configFile);
        }
        bool isWanted = requested == "auto" || requested == checkpoint.MethodName || bits == checkpoint.Format.Bits;
        return isWanted
            ? new ModelQuantization(checkpoint.Format, checkpoint, configFile)
            : throw new InvalidOptionException("quantization", $"{requested} was requested; {configFile} says {checkpoint.MethodName} of {checkpoint.Format.Bits} bits");
    }

    /// <summary>Whether a module's matrix is quantized by what config.json says.</summary>
    public bool Converts(string module) => Checkpoint?.Converts(module) ?? true;

    /// <summary>Checks that groups divide a matrix's rows.</summary>
    /// <exception cref="CheckpointException">They do not.</exception>
    public void CheckGroups(string module, int inFeatures)
    {
        if (Format.GroupSize != QuantizationFormat.WholeRow && inFeatures % Format.GroupSize != 0)
            throw new CheckpointException(ConfigFile, $"quantization_config: group_size: {Format.GroupSize}, must divide the {inFeatures} inputs of {MessageText.Quote(module)}");
    }

    private static int GroupSizeFor(ModelConfig config)
    {
        int[] widths = [config.HiddenSize, config.NumAttentionHeads * config.HeadDim, config.IntermediateSize];
        foreach (int size in GroupSizes)
            if (widths.All(width => width % size == 0))
                return size;
        return QuantizationFormat.WholeRow;
    }
}
