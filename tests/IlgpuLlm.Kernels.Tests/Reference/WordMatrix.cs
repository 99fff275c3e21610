namespace IlgpuLlm.Kernels.Tests.Reference;

/// <summary>A random matrix of 4-bit codes, code by code and in a checkpoint's words, written from their description and not from the code under test.</summary>
internal sealed class WordMatrix
{
    private static readonly int[] OutputOfNibble = [0, 2, 4, 6, 1, 3, 5, 7];

    private readonly QuantizedWordLayout _layout;
    private readonly byte[] _codes; // [outFeatures, inFeatures]
    private readonly byte[] _zeros; // [outFeatures, numGroups]
    private readonly Half[] _scales; // [outFeatures, numGroups]
    private readonly uint[] _codeWords, _zeroWords;
    private readonly Half[] _groupScales;
    private readonly int _addend;

    public WordMatrix(QuantizedWordLayout layout, int groupSize, int outFeatures, int inFeatures, int seed)
    {
        (_layout, Format, OutFeatures, InFeatures) = (layout, new(4, groupSize), outFeatures, inFeatures);
        int numGroups = Format.NumGroups(inFeatures);
        var random = new Random(seed);
        _codes = [.. Enumerable.Range(0, outFeatures * inFeatures).Select(_ => (byte)random.Next(16))];
        _zeros = [.. Enumerable.Range(0, outFeatures * numGroups).Select(_ => (byte)random.Next(16))];
        _scales = [.. Enumerable.Range(0, outFeatures * numGroups).Select(_ => (Half)random.NextSingle())];
        bool isOutputs = layout == QuantizedWordLayout.Outputs;
        _addend = isOutputs ? 0 : 1;
        _codeWords = new uint[inFeatures * outFeatures / 8];
        _zeroWords = new uint[numGroups * outFeatures / 8];
        _groupScales = new Half[numGroups * outFeatures];
        for (int row = 0; row < outFeatures; row++)
        {
            int outputShift = 4 * (isOutputs ? Array.IndexOf(OutputOfNibble, row % 8) : row % 8);
            for (int k = 0; k < inFeatures; k++)
            {
                uint code = _codes[row * inFeatures + k];
                if (isOutputs)
                    _codeWords[k * (outFeatures / 8) + row / 8] |= code << outputShift;
                else
                    _codeWords[k / 8 * outFeatures + row] |= code << (4 * (k % 8));
            }
            for (int group = 0; group < numGroups; group++)
            {
                _zeroWords[group * (outFeatures / 8) + row / 8] |= (uint)((_zeros[row * numGroups + group] - _addend) & 15) << outputShift;
                _groupScales[group * outFeatures + row] = _scales[row * numGroups + group];
            }
        }
    }

    public QuantizationFormat Format { get; }
    public int OutFeatures { get; }
    public int InFeatures { get; }

    public QuantizedWords Words => new()
    {
        Layout = _layout,
        OutFeatures = OutFeatures,
        Codes = _codeWords,
        Zeros = _zeroWords,
        ZeroAddend = _addend,
        Scales = _groupScales,
    };

    /// <summary>Loads all rows code by code.</summary>
    public void LoadCodes(LinearWeight weight, int firstRow) => LoadCodes(weight, firstRow, 0, OutFeatures);

    /// <summary>Loads some rows code by code.</summary>
    public void LoadCodes(LinearWeight weight, int firstRow, int sourceRow, int count)
    {
        int numGroups = Format.NumGroups(InFeatures);
        weight.LoadQuantizedRows(firstRow, count, new QuantizedRows(
            _codes.AsSpan(sourceRow * InFeatures, count * InFeatures), _scales.AsSpan(sourceRow * numGroups, count * numGroups),
            _zeros.AsSpan(sourceRow * numGroups, count * numGroups)));
    }
}
