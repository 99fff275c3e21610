using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using IlgpuLlm.Engine;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;

namespace IlgpuLlm.Quantization;

/// <summary>
/// Writes a quantized model folder: float16 embedding, norms and output layer, packed matrices, config.json with its quantization_config, and the files that
/// go with the model. A folder that was not finished is taken away again.
/// </summary>
internal sealed class QuantizedFolder : IDisposable
{
    private const int RowsAtOnce = 256;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    // Everything of a model's folder but weights and config.json.
    private static readonly string[] CompanionFiles =
    [
        "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
        "merges.txt", "chat_template.jinja", "chat_template.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "USE_POLICY.md",
    ];

    private readonly QuantizeOptions _options;
    private readonly ModelFiles _files;
    private readonly int _intermediateSize;
    private readonly CheckpointWriter _writer;
    private readonly bool _isNewFolder;
    private readonly List<string> _written = [];
    private bool _isFinished;

    /// <summary>Makes the folder.</summary>
    /// <param name="options">What is asked for.</param>
    /// <param name="files">The model.</param>
    /// <param name="intermediateSize">The width of the MLP that is written.</param>
    /// <exception cref="QuantizationException">The folder is not empty, or cannot be made.</exception>
    public QuantizedFolder(QuantizeOptions options, ModelFiles files, int intermediateSize)
    {
        (_options, _files, _intermediateSize) = (options, files, intermediateSize);
        _isNewFolder = !Directory.Exists(options.Output);
        CheckEmpty(options.Output);
        Directory.CreateDirectory(options.Output);
        _writer = new CheckpointWriter(options.Output, Plan());
    }

    /// <summary>The bytes of all tensors.</summary>
    public long ByteLength => _writer.ByteLength;

    /// <summary>Refuses a folder that holds anything.</summary>
    /// <exception cref="QuantizationException">It does, or is a file.</exception>
    public static void CheckEmpty(string folder)
    {
        if (File.Exists(folder))
            throw new QuantizationException($"{folder}: is a file, must be an empty folder or not exist");
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).FirstOrDefault() is { } entry)
            throw new QuantizationException($"{folder}: holds {Path.GetFileName(entry)}, must be an empty folder or not exist");
    }

    /// <summary>Copies a matrix of the checkpoint as float16.</summary>
    public void WriteTable(FloatCheckpoint source, string name, int rows, int width)
    {
        var stream = _writer.Begin(name);
        float[] values = new float[RowsAtOnce * width];
        for (int first = 0; first < rows; first += RowsAtOnce)
        {
            var part = values.AsSpan(0, Math.Min(RowsAtOnce, rows - first) * width);
            source.ReadRows(name, first, width, part);
            WriteHalves(stream, name, first * (long)width, part);
        }
    }

    /// <summary>Writes a vector as float16.</summary>
    public void WriteVector(string name, float[] values) => WriteHalves(_writer.Begin(name), name, 0, values);

    /// <summary>Writes a layer: its norms and biases, and the codes of its matrices.</summary>
    public void WriteLayer(int index, QuantizedLayer layer)
    {
        var prefix = new LayerModules(_files.Config, index).Prefix;
        WriteVector(prefix + "input_layernorm.weight", layer.Weights.InputNorm);
        WriteVector(prefix + "post_attention_layernorm.weight", layer.Weights.PostAttentionNorm);
        for (int i = 0; i < layer.Codes.Count; i++)
            WriteMatrix(layer.Weights.Matrices[i], layer.Codes[i]);
    }

    /// <summary>Writes what is left: config.json comes last, so that no unfinished folder passes for a model.</summary>
    public void Finish()
    {
        _writer.Finish();
        foreach (string name in CompanionFiles.Where(name => File.Exists(_files.Folder.FileOf(name))))
            Write(name, File.ReadAllBytes(_files.Folder.FileOf(name))); // not a copy of its rights: it may be read-only
        Write("config.json", JsonSerializer.SerializeToUtf8Bytes(Config(), Indented));
        _isFinished = true;
    }

    public void Dispose()
    {
        _writer.Dispose();
        if (_isFinished)
            return;
        foreach (string file in _writer.Files.Concat(_written))
            File.Delete(file);
        if (_isNewFolder)
            Directory.Delete(_options.Output);
    }

    private static void WriteHalves(Stream stream, string name, long first, ReadOnlySpan<float> values)
    {
        Half[] halves = new Half[values.Length];
        TensorPrimitives.ConvertToHalf(values, halves);
        int bad = Array.FindIndex(halves, half => !Half.IsFinite(half));
        if (bad >= 0)
            throw new QuantizationException(FormattableString.Invariant($"tensor {MessageText.Quote(name)}: element {first + bad}: {values[bad]}, must be finite and within float16's 65504"));
        stream.Write(MemoryMarshal.AsBytes<Half>(halves));
    }

    private void WriteMatrix(HostMatrix matrix, QuantizedRowsBuffer codes)
    {
        string module = matrix.Module;
        int rows = matrix.OutFeatures, numGroups = _options.Format.NumGroups(matrix.InFeatures);
        bool isAwq = _options.Layout == QuantizationMethod.Awq;
        _writer.Begin(module + ".qweight").Write(isAwq ? AwqPacker.Pack(codes.CodeMemory, rows) : GptqPacker.PackCodes(codes.CodeMemory, rows));
        _writer.Begin(module + ".qzeros").Write(isAwq ? AwqPacker.Pack(codes.ZeroMemory, rows) : GptqPacker.PackZeros(codes.Zeros, rows));
        Half[] scales = new Half[rows * numGroups];
        for (int row = 0; row < rows; row++)
        {
            for (int group = 0; group < numGroups; group++)
                scales[group * rows + row] = codes.Scales[row * numGroups + group];
        }
        _writer.Begin(module + ".scales").Write(MemoryMarshal.AsBytes<Half>(scales));
        if (!isAwq)
        {
            int length = _options.Format.GroupLength(matrix.InFeatures);
            int[] groups = [.. Enumerable.Range(0, matrix.InFeatures).Select(k => k / length)];
            _writer.Begin(module + ".g_idx").Write(MemoryMarshal.AsBytes<int>(groups));
        }
        if (matrix.Bias is not null)
            WriteVector(module + ".bias", matrix.Bias);
    }

    private IEnumerable<PlannedTensor> Plan()
    {
        var (config, description) = (_files.Config, _files.Description);
        int hidden = config.HiddenSize, queryWidth = config.NumAttentionHeads * config.HeadDim;
        yield return new(FloatCheckpoint.Embedding, TensorType.F16, config.VocabSize, hidden);
        for (int i = 0; i < config.NumHiddenLayers; i++)
        {
            var modules = new LayerModules(config, i);
            yield return new(modules.Prefix + "input_layernorm.weight", TensorType.F16, hidden);
            yield return new(modules.Prefix + "post_attention_layernorm.weight", TensorType.F16, hidden);
            foreach (var tensor in modules.Qkv.SelectMany(part => PlanMatrix(part.Module, part.Rows, hidden, description.QkvBias))
                .Concat(PlanMatrix(modules.Output[0].Module, hidden, queryWidth, description.OutputBias))
                .Concat(modules.GateUp.SelectMany(part => PlanMatrix(part.Module, _intermediateSize, hidden, description.MlpBias)))
                .Concat(PlanMatrix(modules.Down[0].Module, hidden, _intermediateSize, description.MlpBias)))
                yield return tensor;
        }
        yield return new(FloatCheckpoint.FinalNorm, TensorType.F16, hidden);
        if (!description.TieWordEmbeddings)
            yield return new(FloatCheckpoint.OutputLayer, TensorType.F16, config.VocabSize, hidden);
    }

    private IEnumerable<PlannedTensor> PlanMatrix(string module, int rows, int inputs, bool hasBias)
    {
        int numGroups = _options.Format.NumGroups(inputs);
        bool isAwq = _options.Layout == QuantizationMethod.Awq;
        int perWord = isAwq ? QuantizedWords.CodesPerWord : GptqPacker.CodesPerWord;
        yield return isAwq
            ? new(module + ".qweight", TensorType.I32, inputs, rows / perWord)
            : new(module + ".qweight", TensorType.I32, inputs / perWord, rows);
        yield return new(module + ".qzeros", TensorType.I32, numGroups, rows / perWord);
        yield return new(module + ".scales", TensorType.F16, numGroups, rows);
        if (!isAwq)
            yield return new(module + ".g_idx", TensorType.I32, inputs);
        if (hasBias)
            yield return new(module + ".bias", TensorType.F16, rows);
    }

    private JsonObject Config()
    {
        var config = JsonNode.Parse(File.ReadAllBytes(_files.Folder.ConfigFile))!.AsObject();
        config["intermediate_size"] = _intermediateSize;
        config[config.ContainsKey("dtype") && !config.ContainsKey("torch_dtype") ? "dtype" : "torch_dtype"] = "float16";
        config["quantization_config"] = _options.Layout == QuantizationMethod.Awq
            ? new JsonObject
            {
                ["quant_method"] = "awq",
                ["bits"] = _options.Bits,
                ["group_size"] = _options.GroupSize,
                ["version"] = "gemm",
                ["zero_point"] = true,
                ["modules_to_not_convert"] = null,
            }
            : new JsonObject
            {
                ["quant_method"] = "gptq",
                ["bits"] = _options.Bits,
                ["group_size"] = _options.GroupSize,
                ["desc_act"] = false,
                ["sym"] = true,
                ["lm_head"] = false,
                ["checkpoint_format"] = "gptq",
            };
        return config;
    }

    private void Write(string name, byte[] bytes)
    {
        string file = Path.Combine(_options.Output, name);
        _written.Add(file);
        File.WriteAllBytes(file, bytes);
    }
}
