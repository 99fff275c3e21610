using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>
/// The weights of a model folder: model.safetensors, or the shards of model.safetensors.index.json. Tensors are streamed from the mapped files into
/// the packed layout by all cores, so that beside the packed weights only file cache is used, which the operating system can take back.
/// </summary>
internal sealed class Checkpoint : IWeightSource
{
    // Large enough that a GPU's upload runs at full speed, small enough that all cores share one tensor and that a chunk stays in their caches.
    private const int ChunkBytes = 2 << 20;

    // Packed layouts interleave some rows: chunks of this many rows keep threads off each other's cache lines.
    private const int ChunkRowAlignment = 64;

    // Rows of codes are gathered from all over a tensor: 64 of them read whole cache lines, and more would leave cores without work.
    private const int CodesChunkBytes = 1 << 20;

    // Of words that become a device's panels at once, rows that are two cache lines of each input.
    private const int WordsChunkRows = 256;

    private readonly string _folder;
    private readonly CheckpointTensors _tensors;
    private readonly IProgress<LoadProgress>? _progress;
    private readonly ModelQuantization? _quantization;
    private readonly ConcurrentDictionary<string, QuantizedModule> _modules = new(StringComparer.Ordinal);
    private readonly Lock _progressLock = new();
    private long _bytesDone;

    private Checkpoint(string folder, IProgress<LoadProgress>? progress, ModelQuantization? quantization)
    {
        _folder = folder;
        _tensors = CheckpointTensors.Open(folder);
        _progress = progress;
        _quantization = quantization;
    }

    /// <summary>The bytes of all tensors.</summary>
    public long ByteLength => _tensors.ByteLength;

    /// <summary>Maps the files and checks their headers; reads no tensor.</summary>
    /// <param name="folder">A folder in Hugging Face layout.</param>
    /// <param name="progress">Told after each chunk, in order, from any thread.</param>
    /// <param name="quantization">How the model's layers are quantized on the device; null: they are not.</param>
    /// <exception cref="CheckpointException">There is no checkpoint, or a file is malformed.</exception>
    public static Checkpoint Open(string folder, IProgress<LoadProgress>? progress = null, ModelQuantization? quantization = null) =>
        new(folder, progress, quantization);

    /// <inheritdoc/>
    public int MaxConcurrentLayers => 4;

    /// <inheritdoc/>
    public bool Contains(string name) => _tensors.Find(name) is not null;

    /// <inheritdoc/>
    public void LoadRows(string name, LinearWeight target, int firstRow, int rows)
    {
        var (tensor, type) = UseElements(name, rows, target.InFeatures);
        ForEachChunk(rows, ChunkBytes, target.InFeatures * type.SizeInBytes(), (first, count) =>
        {
            var source = ReadRows(tensor, type, target.InFeatures, first, count);
            target.LoadRows(firstRow + first, count, type, source);
            Report(name, source.Length);
        });
    }

    /// <inheritdoc/>
    public MatrixForm FormOf(IReadOnlyList<MatrixPart> parts, int inFeatures)
    {
        if (_quantization is null)
            return MatrixForm.Elements;
        if (_quantization.Checkpoint is null)
            return new MatrixForm(_quantization.Format, []);
        QuantizedModule?[] modules = [.. parts.Select(part => FindQuantized(part, inFeatures))];
        if (modules.All(module => module is null))
            return MatrixForm.Elements;
        if (Array.IndexOf(modules, null) is >= 0 and var missing)
        {
            string quantized = parts[Array.FindIndex(modules, module => module is not null)].Module;
            throw new CheckpointException(_folder,
                $"{MessageText.Quote(quantized)} is quantized and {MessageText.Quote(parts[missing].Module)} is not: what is computed as one matrix must be both or neither");
        }
        int[] order = modules[0]!.InputOrder;
        return modules.All(module => module!.InputOrder.AsSpan().SequenceEqual(order))
            ? new MatrixForm(_quantization.Format, order)
            : MatrixForm.Elements with { IsDequantized = true };
    }

    /// <inheritdoc/>
    public void LoadMatrix(IReadOnlyList<MatrixPart> parts, LinearWeight target, int firstRow)
    {
        QuantizedModule?[] modules = [.. parts.Select(part => FindQuantized(part, target.InFeatures))];
        if (modules.All(module => module is not null))
        {
            LoadCodes(modules!, target, firstRow);
            return;
        }
        foreach (var part in parts)
        {
            if (target.Quantization is { } format)
                QuantizeRows(part, target, format, firstRow);
            else
                LoadRows(part.Module + ".weight", target, firstRow, part.Rows);
            firstRow += part.Rows;
        }
    }

    /// <inheritdoc/>
    public void LoadBias(string name, LinearWeight target, int first, int count) => target.LoadBias(first, ReadVector(name, count));

    /// <inheritdoc/>
    public void LoadVector(string name, Backend backend, DeviceBuffer target) =>
        backend.Upload(ReadVector(name, checked((int)target.Length)), target);

    /// <inheritdoc/>
    public void VerifyAllUsed(IEnumerable<string> ignorable)
    {
        _tensors.VerifyAllUsed(ignorable);
        _progress?.Report(new LoadProgress(ByteLength, ByteLength, ""));
    }

    /// <inheritdoc/>
    public void Dispose() => _tensors.Dispose();

    private static ReadOnlySpan<byte> ReadRows(MappedTensor tensor, ElementType type, int inFeatures, int first, int count)
    {
        int rowBytes = checked(inFeatures * type.SizeInBytes());
        var source = tensor.File.Read(tensor.Info, (long)first * rowBytes, count * rowBytes);
        MappedMemory.WillRead(source);
        return source;
    }

    /// <summary>Runs pieces of about so many bytes on all cores.</summary>
    private static void ForEachChunk(int rows, int chunkBytes, int rowBytes, Action<int, int> load)
    {
        int chunkRows = Math.Max(1, chunkBytes / rowBytes);
        if (chunkRows > ChunkRowAlignment)
            chunkRows -= chunkRows % ChunkRowAlignment;
        ParallelLoad.For(
            (rows + chunkRows - 1) / chunkRows, maxDegree: -1, chunk => load(chunk * chunkRows, Math.Min(chunkRows, rows - chunk * chunkRows)));
    }

    /// <summary>The module's codes; null where it has none.</summary>
    private QuantizedModule? FindQuantized(MatrixPart part, int inFeatures)
    {
        if (_quantization?.Checkpoint is not { } config)
            return null;
        // A module that should have codes and has nothing at all is said to lack these.
        bool hasCodes = Contains(part.Module + ".qweight") || (config.Converts(part.Module) && part.IsInLayer && !Contains(part.Module + ".weight"));
        return hasCodes ? _modules.GetOrAdd(part.Module, _ => new QuantizedModule(_tensors, _quantization, config, part, inFeatures)) : null;
    }

    private void LoadCodes(QuantizedModule[] modules, LinearWeight target, int firstRow)
    {
        foreach (var module in modules)
        {
            if (!target.HasBias)
                IgnoreZeroBias(module.Part);
            module.WillRead();
        }
        bool isSame = target.Quantization == _quantization!.Format, isWords = isSame && modules.All(module => module.IsWords);
        // All parts together: a device that has gates and ups by turns completes nothing with one of them.
        ForEachChunk(modules.Max(module => module.Part.Rows), isWords ? WordsChunkRows * target.InFeatures : CodesChunkBytes, target.InFeatures, (first, count) =>
        {
            if (isWords && modules is [var gate, var up] && IsGateUp(gate, up) && target.TryLoadGateUpWords(first, count, gate.Words, up.Words))
            {
                ReportRows(gate, count);
                ReportRows(up, count);
                return;
            }
            int row = firstRow;
            foreach (var module in modules)
            {
                int rows = Math.Min(count, module.Part.Rows - first);
                if (rows > 0)
                {
                    if (!isWords || !target.TryLoadWords(row + first, rows, module.Words, first))
                        UnpackCodes(module, first, rows, target, row + first, isSame);
                    ReportRows(module, rows);
                }
                row += module.Part.Rows;
            }
        });

        bool IsGateUp(QuantizedModule gate, QuantizedModule up) => gate.Part.Rows == up.Part.Rows && 2 * gate.Part.Rows == target.OutFeatures;

        void ReportRows(QuantizedModule module, int rows) => Report(module.Part.Module, module.ByteLength * rows / module.Part.Rows);
    }

    /// <summary>Loads rows of codes by way of a code a byte.</summary>
    private void UnpackCodes(QuantizedModule module, int first, int count, LinearWeight target, int targetRow, bool isSame)
    {
        using var rows = new QuantizedRowsBuffer(count, target.InFeatures, module.NumGroups);
        module.Unpack(first, count, rows.Codes, rows.Scales, rows.Zeros);
        if (isSame)
            target.LoadQuantizedRows(targetRow, count, rows.Rows);
        else
            LoadDequantized(rows, module.InputOrder, target, targetRow, count);
    }

    private void LoadDequantized(QuantizedRowsBuffer rows, int[] inputOrder, LinearWeight target, int firstRow, int count)
    {
        float[] values = ArrayPool<float>.Shared.Rent(count * target.InFeatures);
        var used = values.AsSpan(0, count * target.InFeatures);
        rows.Dequantize(inputOrder, used);
        if (target.Quantization is { } format)
        {
            using var quantized = new QuantizedRowsBuffer(count, target.InFeatures, format.NumGroups(target.InFeatures));
            for (int r = 0; r < count; r++)
                Quantize(used.Slice(r * target.InFeatures, target.InFeatures), format, quantized, r, _folder, "codes", firstRow + r);
            target.LoadQuantizedRows(firstRow, count, quantized.Rows);
        }
        else
            target.LoadRows(firstRow, count, ElementType.F32, MemoryMarshal.AsBytes(used));
        ArrayPool<float>.Shared.Return(values);
    }

    private void QuantizeRows(MatrixPart part, LinearWeight target, QuantizationFormat format, int firstRow)
    {
        string name = part.Module + ".weight";
        int inFeatures = target.InFeatures, numGroups = format.NumGroups(inFeatures);
        var (tensor, type) = UseElements(name, part.Rows, inFeatures);
        ForEachChunk(part.Rows, CodesChunkBytes, inFeatures, (first, count) =>
        {
            var source = ReadRows(tensor, type, inFeatures, first, count);
            int rowBytes = inFeatures * type.SizeInBytes();
            var values = new float[inFeatures];
            using var rows = new QuantizedRowsBuffer(count, inFeatures, numGroups);
            for (int r = 0; r < count; r++)
            {
                ElementConversion.ToFloats(source.Slice(r * rowBytes, rowBytes), type, values);
                Quantize(values, format, rows, r, tensor.File.Path, $"tensor {MessageText.Quote(name)}", first + r);
            }
            target.LoadQuantizedRows(firstRow + first, count, rows.Rows);
            Report(name, source.Length);
        });
    }

    /// <summary>Rounds row <paramref name="row"/> of a matrix into row <paramref name="r"/> of a buffer.</summary>
    private static void Quantize(ReadOnlySpan<float> values, QuantizationFormat format, QuantizedRowsBuffer rows, int r, string path, string what, int row)
    {
        int inFeatures = values.Length, numGroups = format.NumGroups(inFeatures);
        int bad = GroupQuantizer.Quantize(values, format, rows.Codes.Slice(r * inFeatures, inFeatures),
            rows.Scales.Slice(r * numGroups, numGroups), rows.Zeros.Slice(r * numGroups, numGroups));
        if (bad >= 0)
            throw new CheckpointException(path, $"{what}: [{row}, {bad}]: {values[bad]}, too large to be quantized: scales have 16 bits");
    }

    /// <summary>AutoGPTQ writes biases of 0 for layers that have none.</summary>
    private void IgnoreZeroBias(MatrixPart part)
    {
        string name = part.Module + ".bias";
        if (Contains(name) && Array.FindIndex(ReadVector(name, part.Rows), value => value != 0) is >= 0 and var at)
            throw new CheckpointException(_folder, $"tensor {MessageText.Quote(name)}: [{at}] is not 0, but by config.json this layer has no bias");
    }

    private float[] ReadVector(string name, int length)
    {
        var (tensor, type) = UseElements(name, length);
        var values = new float[length];
        ElementConversion.ToFloats(tensor.ReadAll(), type, values);
        Report(name, tensor.Info.ByteLength);
        return values;
    }

    private (MappedTensor Tensor, ElementType Type) UseElements(string name, params long[] shape)
    {
        var tensor = _tensors.UseElements(name, shape);
        return (tensor, tensor.Info.Type.AsWeight()!.Value);
    }

    private void Report(string name, long bytes)
    {
        if (_progress is null)
            return;
        lock (_progressLock)
        {
            // A tensor may be read twice (tied embeddings): it does not count beyond the total.
            _bytesDone = Math.Min(_bytesDone + bytes, ByteLength);
            _progress.Report(new LoadProgress(_bytesDone, ByteLength, name));
        }
    }
}
