using System.Runtime.InteropServices;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>The tensors of a quantized linear layer of a checkpoint, checked against each other and the config; their rows are unpacked on demand.</summary>
internal sealed class QuantizedModule
{
    // Pieces in which threads tell the system that they will read a tensor.
    private const int PieceBytes = 2 << 20;

    private readonly QuantizationConfig _config;
    private readonly int _inFeatures;
    private readonly MappedTensor _codes;
    private readonly MappedTensor _scales;
    private readonly MappedTensor _zeros;
    private readonly MappedTensor? _groups;

    /// <summary>Finds the tensors and checks them.</summary>
    /// <param name="tensors">The checkpoint.</param>
    /// <param name="quantization">Its quantization.</param>
    /// <param name="config">The same, as the checkpoint says it.</param>
    /// <param name="part">The layer.</param>
    /// <param name="inFeatures">Its inputs.</param>
    /// <exception cref="CheckpointException">A tensor is missing or of another type or shape, the layout cannot hold this shape, or g_idx is not a division into groups.</exception>
    public QuantizedModule(CheckpointTensors tensors, ModelQuantization quantization, QuantizationConfig config, MatrixPart part, int inFeatures)
    {
        (_config, Part, _inFeatures) = (config, part, inFeatures);
        quantization.CheckGroups(part.Module, inFeatures);
        NumGroups = config.Format.NumGroups(inFeatures);
        int codesPerWord = 32 / config.Format.Bits, wordsPerGroup = part.Rows / codesPerWord;
        CheckMultiple("outputs", part.Rows);
        if (config.Method == QuantizationMethod.Awq)
        {
            _codes = UseWords("qweight", inFeatures, wordsPerGroup);
        }
        else
        {
            CheckMultiple("inputs", inFeatures);
            _codes = UseWords("qweight", inFeatures / codesPerWord, part.Rows);
            _groups = UseWords("g_idx", inFeatures);
        }
        _zeros = UseWords("qzeros", NumGroups, wordsPerGroup);
        _scales = tensors.Use($"{part.Module}.scales", type => type == TensorType.F16, "F16", NumGroups, part.Rows);
        InputOrder = _groups is { } groups ? SortInputs(groups) : [];

        MappedTensor UseWords(string name, params long[] shape) => tensors.Use($"{part.Module}.{name}", type => type == TensorType.I32, "I32", shape);

        void CheckMultiple(string what, int count)
        {
            if (count % codesPerWord != 0)
                throw new CheckpointException(quantization.ConfigFile, $"{MessageText.Quote(part.Module)}: {count} {what}, {config.MethodName} of {config.Format.Bits} bits packs {codesPerWord} of them in a word");
        }
    }

    /// <summary>The layer.</summary>
    public MatrixPart Part { get; }

    /// <summary>The groups of a row.</summary>
    public int NumGroups { get; }

    /// <summary>Which input each unpacked one is: sorted by group; empty where they are in order.</summary>
    public int[] InputOrder { get; }

    /// <summary>Whether its tensors are <see cref="Words"/>.</summary>
    public bool IsWords => _config.Format.Bits == 4 && InputOrder.Length == 0;

    /// <summary>All of its rows, in place.</summary>
    public QuantizedWords Words => new()
    {
        Layout = _config.Method == QuantizationMethod.Awq ? QuantizedWordLayout.Outputs : QuantizedWordLayout.Inputs,
        OutFeatures = Part.Rows,
        Codes = WordsOf(_codes),
        Zeros = WordsOf(_zeros),
        ZeroAddend = ZeroAddend,
        Scales = AllScales,
    };

    /// <summary>The bytes of its tensors.</summary>
    public long ByteLength => _codes.Info.ByteLength + _scales.Info.ByteLength + _zeros.Info.ByteLength + (_groups?.Info.ByteLength ?? 0);

    /// <summary>Has all threads bring the packed codes in: rows lie across the whole tensor.</summary>
    public void WillRead()
    {
        long length = _codes.Info.ByteLength;
        Parallel.For(0, (length + PieceBytes - 1) / PieceBytes, piece =>
            MappedMemory.WillRead(_codes.File.Read(_codes.Info, piece * PieceBytes, (int)Math.Min(PieceBytes, length - piece * PieceBytes))));
    }

    /// <summary>Unpacks rows (outputs).</summary>
    /// <param name="firstRow">The first.</param>
    /// <param name="numRows">Their number.</param>
    /// <param name="codes">[numRows, inFeatures], in the order of <see cref="InputOrder"/>.</param>
    /// <param name="scales">[numRows, numGroups].</param>
    /// <param name="zeros">[numRows, numGroups].</param>
    public void Unpack(int firstRow, int numRows, Span<byte> codes, Span<Half> scales, Span<byte> zeros)
    {
        int bits = _config.Format.Bits, wordsPerGroup = Part.Rows * bits / 32;
        var packedCodes = WordsOf(_codes);
        var packedZeros = WordsOf(_zeros);
        if (_config.Method == QuantizationMethod.Awq)
        {
            AwqUnpacker.UnpackCodes(packedCodes, wordsPerGroup, firstRow, numRows, codes);
            AwqUnpacker.UnpackZeros(packedZeros, wordsPerGroup, firstRow, numRows, zeros);
        }
        else
        {
            GptqUnpacker.UnpackCodes(bits, packedCodes, Part.Rows, firstRow, numRows, codes);
            GptqUnpacker.UnpackZeros(bits, packedZeros, wordsPerGroup, ZeroAddend, firstRow, numRows, zeros);
        }
        if (InputOrder.Length > 0)
            Reorder(codes, numRows);
        var allScales = AllScales;
        for (int group = 0; group < NumGroups; group++)
            for (int row = 0; row < numRows; row++)
                scales[row * NumGroups + group] = allScales[group * Part.Rows + firstRow + row];
    }

    private ReadOnlySpan<Half> AllScales => MemoryMarshal.Cast<byte, Half>(_scales.ReadAll());

    private int ZeroAddend => _config.Method == QuantizationMethod.Gptq && _config.StoresZerosMinusOne ? 1 : 0;

    private static ReadOnlySpan<uint> WordsOf(MappedTensor tensor) => MemoryMarshal.Cast<byte, uint>(tensor.ReadAll());

    private void Reorder(Span<byte> codes, int numRows)
    {
        byte[] row = new byte[_inFeatures];
        for (int r = 0; r < numRows; r++)
        {
            Span<byte> target = codes.Slice(r * _inFeatures, _inFeatures);
            target.CopyTo(row);
            for (int j = 0; j < row.Length; j++)
                target[j] = row[InputOrder[j]];
        }
    }

    /// <summary>Inputs sorted by group, those of a group in order; empty where that moves none.</summary>
    private int[] SortInputs(MappedTensor groups)
    {
        var groupOf = MemoryMarshal.Cast<byte, int>(groups.ReadAll());
        int length = _config.Format.GroupLength(_inFeatures);
        var counts = new int[NumGroups];
        var order = new int[_inFeatures];
        bool isInOrder = true;
        for (int k = 0; k < _inFeatures; k++)
        {
            int group = groupOf[k];
            if (group < 0 || group >= NumGroups)
                throw Error($"[{k}]: {group}, must be from 0 to {NumGroups - 1}");
            if (counts[group] == length)
                throw Error($"group {group} has more than {length} inputs, must have as many as group_size says");
            int place = group * length + counts[group]++;
            order[place] = k;
            isInOrder &= place == k;
        }
        return isInOrder ? [] : order;

        CheckpointException Error(string problem) => new(groups.File.Path, $"tensor {MessageText.Quote(groups.Info.Name)}: {problem}");
    }
}
