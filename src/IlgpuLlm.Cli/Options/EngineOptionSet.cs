using System.CommandLine;

namespace IlgpuLlm.Cli.Options;

/// <summary>The options that set up an engine, under vLLM's names. What is not given is left to <see cref="EngineOptions"/>.</summary>
internal sealed class EngineOptionSet
{
    private readonly Option<string?> _model = CommonOptions.CreateModel();
    private readonly Option<string?> _device = CommonOptions.CreateDevice();
    private readonly Option<string?> _dtype = OptionFactory.Text("--dtype", "TYPE",
        "Weights, and KV cache if nothing else is said: float32, float16, or auto (float32 for float32 checkpoints, else float16); int4, int8: auto with that --quantization. Default: auto.");
    private readonly Option<string?> _quantization = OptionFactory.Text("--quantization", "METHOD",
        "auto (as the checkpoint is), awq, gptq, or int4, int8 (rounds the layers of a float checkpoint while it is loaded). Default: auto.");
    private readonly Option<string?> _kvCacheDtype = OptionFactory.Text("--kv-cache-dtype", "TYPE",
        "KV cache: auto (as --dtype), fp16, or int8 (codes with a scale for every head of a token; half of fp16's memory). Default: auto.");
    private readonly Option<bool> _allowTf32 = OptionFactory.Flag("--allow-tf32",
        "Lets CUDA devices round the operands of float32 products to TF32 (10 bits of mantissa), on tensor cores.");
    private readonly Option<bool> _batchInvariant = OptionFactory.Flag("--batch-invariant",
        "A request's output is the same bits whatever else is in its batches; slower on a GPU, always so on the CPU.");
    private readonly Option<string?> _cpuActivations = OptionFactory.Text("--cpu-activations", "TYPE",
        "What the CPU multiplies weights of 4 and 8 bits with: int8 (activations rounded, with a scale for each 32; several times as fast) or fp32. Default: int8.");
    private readonly Option<string?> _loadFormat = OptionFactory.Text("--load-format", "FORMAT",
        "auto reads the checkpoint; dummy needs config.json alone and makes random weights. Default: auto.");
    private readonly Option<int?> _maxModelLen = OptionFactory.Number<int>("--max-model-len", "N",
        "Longest sequence, prompt and output. Default: what the model allows and the KV cache holds.");
    private readonly Option<int?> _maxNumSeqs = OptionFactory.Number<int>("--max-num-seqs", "N", "Most sequences in a step. Default: 256.");
    private readonly Option<int?> _maxNumBatchedTokens = OptionFactory.Number<int>("--max-num-batched-tokens", "N", "Most tokens in a step. Default: 2048.");
    private readonly Option<int?> _blockSize = OptionFactory.Number<int>("--block-size", "N", "Tokens in a KV cache block. Default: 16.");
    private readonly Option<long?> _kvCacheMemory = OptionFactory.Bytes("--kv-cache-memory",
        "Size of the KV cache: 2GiB, 512MiB, or bytes. Default: on a GPU what is left, on the CPU at most 4 GiB and half of what is free.");
    private readonly Option<int?> _numBlocks = OptionFactory.Number<int>("--num-blocks", "N", "KV cache blocks, whatever the memory.");
    private readonly Option<double?> _gpuMemoryUtilization = OptionFactory.Number<double>("--gpu-memory-utilization", "SHARE",
        "Share of a GPU's memory that may be taken, in (0, 1]. Default: 0.9.");
    private readonly Option<int?> _threads = CommonOptions.CreateThreads();

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_model, _device, _dtype, _quantization, _kvCacheDtype, _allowTf32, _batchInvariant, _cpuActivations, _loadFormat, _maxModelLen, _maxNumSeqs, _maxNumBatchedTokens,
            _blockSize, _kvCacheMemory, _numBlocks, _gpuMemoryUtilization, _threads])
            command.Options.Add(option);
    }

    /// <summary>Reads the options and checks their ranges.</summary>
    /// <exception cref="InvalidOptionException">One is out of its range.</exception>
    public EngineOptions Read(ParseResult parse)
    {
        var defaults = new EngineOptions();
        var options = defaults with
        {
            Model = parse.GetValue(_model),
            Device = parse.GetValue(_device) ?? defaults.Device,
            DType = parse.GetValue(_dtype) ?? defaults.DType,
            Quantization = parse.GetValue(_quantization) ?? defaults.Quantization,
            KvCacheDtype = parse.GetValue(_kvCacheDtype) ?? defaults.KvCacheDtype,
            AllowTf32 = parse.GetValue(_allowTf32),
            BatchInvariant = parse.GetValue(_batchInvariant),
            CpuActivations = parse.GetValue(_cpuActivations) ?? defaults.CpuActivations,
            LoadFormat = parse.GetValue(_loadFormat) ?? defaults.LoadFormat,
            MaxModelLen = parse.GetValue(_maxModelLen),
            MaxNumSeqs = parse.GetValue(_maxNumSeqs) ?? defaults.MaxNumSeqs,
            MaxNumBatchedTokens = parse.GetValue(_maxNumBatchedTokens) ?? defaults.MaxNumBatchedTokens,
            BlockSize = parse.GetValue(_blockSize) ?? defaults.BlockSize,
            KvCacheMemoryBytes = parse.GetValue(_kvCacheMemory),
            NumBlocksOverride = parse.GetValue(_numBlocks),
            GpuMemoryUtilization = parse.GetValue(_gpuMemoryUtilization) ?? defaults.GpuMemoryUtilization,
            NumThreads = parse.GetValue(_threads) ?? defaults.NumThreads,
        };
        options.Validate();
        return options;
    }
}
