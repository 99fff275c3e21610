using System.CommandLine;
using IlgpuLlm.Bench;
using IlgpuLlm.Bench.Precisions;

namespace IlgpuLlm.Cli.Options;

/// <summary>The options of commands that run a model in several precisions, under the names of the seed's benchmark.</summary>
/// <param name="defaultDevice">Where they run if nothing is said.</param>
/// <param name="defaultModel">What they run then.</param>
internal sealed class PrecisionOptionSet(string defaultDevice, string defaultModel)
{
    private readonly Option<string?> _model = OptionFactory.Text("--model-name", "MODEL",
        $"llama, mistral (checkpoints in --models-dir, laid out as the seed's benchmark does), demo, or a model's folder. Default: {defaultModel}.").WithAliases("-n", "--model_name", "--model");
    private readonly Option<string?> _device = OptionFactory.Text("--device", "DEVICE", $"cpu, cuda, cuda:N or auto. Default: {defaultDevice}.").WithAliases("-d");
    private readonly Option<bool> _dummy = OptionFactory.Flag("--dummy", "Random weights: llama and mistral need no files then, a folder its config.json alone.");
    private readonly Option<string?> _modelsDir = OptionFactory.Text("--models-dir", "DIR", "Where the folders of llama and mistral lie. Default: models.");
    private readonly Option<string?> _precisions = OptionFactory.Text("--precisions", "LIST", $"Some of {string.Join(',', Precision.All)}. Default: all.");
    private readonly Option<int?> _maxModelLen = OptionFactory.Number<int>("--max-model-len", "N", "Longest sequence, prompt and output. Default: what the model allows.");
    private readonly Option<double?> _gpuMemoryUtilization = OptionFactory.Number<double>("--gpu-memory-utilization", "SHARE",
        "Share of a GPU's memory that may be taken, in (0, 1]. Default: 0.9.");
    private readonly Option<int?> _threads = OptionFactory.Number<int>("--threads", "N", "CPU threads; 0: one a physical core. Default: 0.");

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_model, _device, _dummy, _modelsDir, _precisions, _maxModelLen, _gpuMemoryUtilization, _threads])
            command.Options.Add(option);
    }

    /// <summary>Reads the options of all precisions.</summary>
    /// <exception cref="BenchException">The device is one that cannot be.</exception>
    /// <exception cref="InvalidOptionException">An option is out of its range.</exception>
    public EngineOptions ReadEngine(ParseResult parse)
    {
        var defaults = new EngineOptions();
        string device = parse.GetValue(_device) ?? defaultDevice;
        // A failure, not wrong usage: the seed's benchmark knows the device, and says the same with exit code 1.
        if (device == "metal")
            throw new BenchException("--device metal", "is not supported: ILGPU has no Metal backend; supported: cpu, cuda, cuda:N, auto");
        var options = defaults with
        {
            Device = device,
            MaxModelLen = parse.GetValue(_maxModelLen),
            GpuMemoryUtilization = parse.GetValue(_gpuMemoryUtilization) ?? defaults.GpuMemoryUtilization,
            NumThreads = parse.GetValue(_threads) ?? defaults.NumThreads,
        };
        options.Validate();
        return options;
    }

    /// <summary>Finds the model.</summary>
    /// <exception cref="IlgpuLlmException">There is none, or a precision is not known.</exception>
    public BenchModel FindModel(ParseResult parse, EngineOptions options)
    {
        var precisions = parse.GetValue(_precisions) is { } list ? Precision.Parse(list) : Precision.All;
        return ModelFinder.Find(parse.GetValue(_model) ?? defaultModel, parse.GetValue(_modelsDir) ?? "models", parse.GetValue(_dummy), precisions, options);
    }
}
