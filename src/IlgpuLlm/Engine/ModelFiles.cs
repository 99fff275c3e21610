using IlgpuLlm.DemoModel;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;

namespace IlgpuLlm.Engine;

/// <summary>A model's folder, read and checked, but for the weights.</summary>
internal sealed record ModelFiles
{
    public required ModelFolder Folder { get; init; }
    public required ModelConfig Config { get; init; }
    public required GenerationConfig Generation { get; init; }
    public required ModelDescription Description { get; init; }
    public required ElementType DType { get; init; }
    public required ElementType KvCacheDType { get; init; }

    /// <summary>How the layers' matrices are quantized on the device; null: they are not.</summary>
    public required ModelQuantization? Quantization { get; init; }

    /// <summary>Null where the folder has none: prompts must then be tokens.</summary>
    public required TextTokenizer? Tokenizer { get; init; }
    public required int[] EosTokenIds { get; init; }
    public required SamplingParams DefaultSampling { get; init; }

    public static ModelFiles Read(EngineOptions options)
    {
        options.Validate();
        var folder = ModelFolder.Open(options.Model ?? (options.RequestedQuantization == "int4" ? DemoModelFolder.Int4Path : DemoModelFolder.FullPath));
        var config = ModelConfigReader.Read(folder.ConfigFile, ModelRegistry.Supported);
        var generation = GenerationConfigReader.Read(folder.GenerationConfigFile);
        var tokenizer = ReadTokenizer(folder, config);
        var dtype = ResolveDType(options.DType, config);
        return new ModelFiles
        {
            Folder = folder,
            Config = config,
            Generation = generation,
            Description = ModelRegistry.Describe(config),
            DType = dtype,
            KvCacheDType = options.KvCacheDtype switch
            {
                "fp16" => ElementType.F16,
                "int8" => ElementType.U8,
                _ => dtype,
            },
            Quantization = ModelQuantization.Resolve(options.RequestedQuantization, config, folder.ConfigFile),
            Tokenizer = tokenizer,
            EosTokenIds = EosTokens(config, generation, tokenizer),
            DefaultSampling = options.UseGenerationConfig ? DefaultsFrom(generation) : new SamplingParams(),
        };
    }

    /// <summary>What decides how a backend runs the model.</summary>
    public ModelShape Shape => LlamaModel.ShapeOf(Config, Description, DType, Quantization?.Format) with { KvCache = KvCacheDType };

    /// <summary>Opens the weights: the checkpoint's, or random ones.</summary>
    public IWeightSource OpenWeights(EngineOptions options, ulong seed) =>
        options.LoadFormat == "dummy" ? new DummyWeightSource(seed, Quantization) : Checkpoint.Open(Folder.FullPath, options.Progress, Quantization);

    /// <summary>What the layers' matrices become on the device. Only a quantized checkpoint is looked into for it.</summary>
    public LayerForms[] ReadLayerForms(EngineOptions options)
    {
        using IWeightSource source = Quantization?.Checkpoint is null ? new DummyWeightSource(0, Quantization) : OpenWeights(options, 0);
        return LayerForms.Read(source, Config);
    }

    private static TextTokenizer? ReadTokenizer(ModelFolder folder, ModelConfig config)
    {
        string? file = Array.Find([folder.FileOf("tokenizer.json"), folder.FileOf("tokenizer.model")], File.Exists);
        if (file is null)
            return null;
        var tokenizer = TextTokenizer.Load(folder.FullPath);
        if (tokenizer.VocabSize > config.VocabSize)
            throw new CheckpointException(file, $"vocabulary: {tokenizer.VocabSize} tokens, more than config.json's vocab_size, {config.VocabSize}");
        return tokenizer;
    }

    private static ElementType ResolveDType(string dtype, ModelConfig config) => dtype switch
    {
        "float32" => ElementType.F32,
        "float16" => ElementType.F16,
        _ => config.Dtype == ElementType.F32 ? ElementType.F32 : ElementType.F16,
    };

    private static int[] EosTokens(ModelConfig config, GenerationConfig generation, TextTokenizer? tokenizer)
    {
        IEnumerable<int> ids = generation.EosTokenIds.Count > 0 ? generation.EosTokenIds : config.EosTokenIds;
        if (tokenizer?.EosTokenId is { } eos)
            ids = ids.Append(eos);
        return [.. ids.Where(id => id < config.VocabSize).Distinct()];
    }

    // As vLLM's get_default_sampling_params: do_sample is not looked at.
    private static SamplingParams DefaultsFrom(GenerationConfig generation)
    {
        var none = new SamplingParams();
        return none with
        {
            Temperature = generation.Temperature ?? none.Temperature,
            TopK = generation.TopK ?? none.TopK,
            TopP = generation.TopP ?? none.TopP,
            MinP = generation.MinP ?? none.MinP,
            RepetitionPenalty = generation.RepetitionPenalty ?? none.RepetitionPenalty,
            MaxTokens = generation.MaxNewTokens ?? none.MaxTokens,
        };
    }
}
