using ILGPU;
using ILGPU.Runtime;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Products of F16 weights, or of F32 weights rounded to TF32, on Hopper's tensor cores (sm_90a). Up to <see cref="MaxNarrowRows"/> rows weights stream through ("narrow"), above that
/// activations and weights are tiled ("wide"). A row's result is the same bits for every number of rows within either, and for every number of rows where
/// larger batches are made so many rows at a time.
/// </summary>
internal sealed class HopperLinearKernel : IDisposable
{
    /// <summary>The rows up to which weights stream through.</summary>
    public const int MaxNarrowRows = 128;

    private const int NarrowGroups = 264; // two a multiprocessor of an H100; a constant, so that results do not depend on the device
    private const int MinStepsInSplit = 4;
    private const int MaxSplit = 8;
    private const int WideTokens = 128;

    private static readonly LinearEpilogue[] FloatEpilogues = [LinearEpilogue.Floats, LinearEpilogue.Residual];
    private static readonly HopperVariants HalfTable = new(isTf32: false), Tf32Table = new(isTf32: true);

    private readonly CudaGpuDevice _device;
    private readonly HopperVariants _table;
    private readonly ElementType _type;
    private readonly bool _isBatchInvariant;
    private readonly TensorMaps _maps;
    private readonly Launcher?[] _launchers; // compiled when first used: most models use a dozen

    /// <param name="device">The device.</param>
    /// <param name="isTf32">Whether weights and activations are F32, rounded towards zero to TF32; otherwise they are F16.</param>
    /// <param name="isBatchInvariant">Whether weights stream through for every number of rows, <see cref="MaxNarrowRows"/> of them at a time.</param>
    public HopperLinearKernel(CudaGpuDevice device, bool isTf32 = false, bool isBatchInvariant = false)
    {
        _device = device;
        _isBatchInvariant = isBatchInvariant;
        _table = isTf32 ? Tf32Table : HalfTable;
        _type = isTf32 ? ElementType.F32 : ElementType.F16;
        _maps = new(device);
        _launchers = new Launcher?[_table.Count];
    }

    /// <summary>The tile of <see cref="HopperVariants.WideTiles"/> that is taken whatever the shape, for measurements; null: the one that fits best.</summary>
    internal int? WideTile { get; set; }

    /// <summary>The groups that share the k of a narrow tile, for measurements: 1, 2, 4 or 8. Changes the bits of results.</summary>
    internal int? NarrowSplit { get; set; }

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, long weightMap, long tailMap, long activationMap, long outputMap, HopperOutput output, HopperGrid grid);

    public static IReadOnlyList<GpuKernel> Variants { get; } = [.. Kernels(HalfTable, Enum.GetValues<LinearEpilogue>()), .. Kernels(Tf32Table, FloatEpilogues)];

    /// <summary>
    /// Whether the product can be made here: sizes that are multiples of 8 (16 output features for gate and up). Products of floats are stored, or added, as
    /// floats.
    /// </summary>
    public bool Supports(GpuLinearWeight weight, LinearEpilogue epilogue) =>
        _device.IsHopper && weight.Storage == _type && weight.InFeatures % 8 == 0 && weight.OutFeatures % (epilogue == LinearEpilogue.GateUp ? 16 : 8) == 0
        && (_type == ElementType.F16 || FloatEpilogues.Contains(epilogue));

    /// <summary>Multiplies <paramref name="numRows"/> rows of activations with the weight and stores what the epilogue says.</summary>
    /// <param name="weight">[outFeatures, inFeatures], which <see cref="Supports"/> was asked about.</param>
    /// <param name="input">F16 (F32 for TF32), [at least numRows, inFeatures]. Rows above numRows may be read, and do not matter.</param>
    /// <param name="output">F16 or F32, [at least numRows, outFeatures or, for gate and up, half of it].</param>
    /// <param name="numRows">Rows.</param>
    /// <param name="epilogue">What becomes of the sums.</param>
    public void Launch(GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, int numRows, LinearEpilogue epilogue)
    {
        ShapeChecks.Count(numRows, nameof(numRows));
        if (!Supports(weight, epilogue))
            throw new ArgumentException($"{weight.OutFeatures} x {weight.InFeatures} weights of {weight.Storage} are not multiplied here to become {epilogue}", nameof(weight));
        ShapeChecks.Buffer(input, _type, numRows, weight.InFeatures, nameof(input));
        bool isHalves = epilogue is LinearEpilogue.Halves or LinearEpilogue.GateUp;
        int width = epilogue == LinearEpilogue.GateUp ? weight.OutFeatures / 2 : weight.OutFeatures;
        ShapeChecks.Buffer(output, isHalves ? ElementType.F16 : ElementType.F32, numRows, width, nameof(output));
        int inputRows = (int)Math.Min(input.Length / weight.InFeatures, int.MaxValue);
        int rowsAtATime = _isBatchInvariant ? MaxNarrowRows : numRows;
        for (int first = 0; first < numRows; first += rowsAtATime)
        {
            int rows = Math.Min(rowsAtATime, numRows - first);
            var target = new HopperOutput
            {
                Values = output.Address + (long)first * width * output.Type.SizeInBytes(),
                Bias = weight.Bias?.Address ?? 0,
                NumRows = rows,
                NumColumns = weight.OutFeatures,
            };
            nint from = input.Address + (nint)((long)first * weight.InFeatures * _type.SizeInBytes());
            Launch(Choose(weight, rows, epilogue), weight, from, inputRows - first, target, output.Type, width);
        }
    }

    /// <summary>The name of the kernel that a launch would take.</summary>
    public string NameOf(GpuLinearWeight weight, int numRows, LinearEpilogue epilogue) => _table[Choose(weight, numRows, epilogue)].Kernel.Name;

    public void Dispose() => _maps.Dispose();

    /// <summary>The groups that share the k of a tile of 64 features, so that small weights keep the whole device busy.</summary>
    internal static int Split(int outFeatures, int inFeatures)
    {
        int tiles = (outFeatures + 63) / 64, steps = (inFeatures + Wgmma.TileK - 1) / Wgmma.TileK, split = 1;
        while (split < MaxSplit && 2 * split * tiles <= NarrowGroups && steps >= 2 * split * MinStepsInSplit)
            split *= 2;
        return split;
    }

    private static IEnumerable<GpuKernel> Kernels(HopperVariants table, LinearEpilogue[] epilogues) =>
        Enumerable.Range(0, table.Count).Where(i => epilogues.Contains(HopperVariants.EpilogueOf(i))).Select(i => table[i].Kernel);

    private static int DivideUp(int value, int divisor) => (value + divisor - 1) / divisor;

    /// <summary>What takes as much memory as a row of the weight in halves.</summary>
    private int HalvesInRow(GpuLinearWeight weight) => weight.InFeatures * (_type.SizeInBytes() / ElementType.F16.SizeInBytes());

    private int Choose(GpuLinearWeight weight, int numRows, LinearEpilogue epilogue) => numRows <= MaxNarrowRows
        ? HopperVariants.Narrow(numRows, NarrowSplit ?? Split(weight.OutFeatures, HalvesInRow(weight)), epilogue)
        : HopperVariants.Wide(WideTile ?? ChooseWide(numRows, weight.OutFeatures), epilogue);

    /// <summary>The wide tile that takes the least time on this device.</summary>
    private int ChooseWide(int numRows, int outFeatures)
    {
        int best = 0;
        for (int i = 1; i < HopperVariants.WideTiles.Length; i++)
        {
            if (Plan(i, numRows, outFeatures).Time < Plan(best, numRows, outFeatures).Time)
                best = i;
        }
        return best;
    }

    /// <summary>
    /// The tiles that are made whole and the parts after them, and the time in units of a tile of 256 features. Parts replace a last round that keeps
    /// few multiprocessors busy.
    /// </summary>
    private (int Tiles, int Parts, double Time) Plan(int tile, int numRows, int outFeatures)
    {
        WideTileForm form = HopperVariants.WideTiles[tile];
        int clusters = _device.NumMultiprocessors / form.Cluster;
        int tiles = checked(DivideUp(numRows, WideTokens * form.Cluster) * DivideUp(outFeatures, form.Features));
        int rounds = tiles / clusters, rest = tiles % clusters, parts = rest * (form.Features / form.Tail);
        if (rest == 0)
            return (tiles, 0, rounds * form.Cost);
        double tail = DivideUp(parts, clusters) * form.TailCost;
        return tail < form.Cost ? (tiles - rest, parts, rounds * form.Cost + tail) : (tiles, 0, (rounds + 1) * form.Cost);
    }

    private void Launch(
        int index, GpuLinearWeight weight, nint input, int inputRows, HopperOutput output, ElementType outputType, int outputWidth)
    {
        HopperVariant variant = _table[index];
        int halves = HalvesInRow(weight);
        var launcher = _launchers[index] ??= _device.Load<Launcher>(variant.Kernel);
        long weightMap = _maps.Get(weight.Matrix.Address, weight.OutFeatures, halves, variant.WeightBoxRows);
        long tailMap = variant.TailBoxRows == variant.WeightBoxRows
            ? weightMap
            : _maps.Get(weight.Matrix.Address, weight.OutFeatures, halves, variant.TailBoxRows);
        long activationMap = _maps.Get(input, inputRows, halves, variant.ActivationBoxRows);
        // Says how many rows there are, as what lies behind them must stay.
        long outputMap = variant.IsWide
            ? _maps.Get((nint)output.Values, outputType, output.NumRows, outputWidth, HopperBoxStore<HalvesEpilogue>.BoxRows, variant.OutputBoxColumns)
            : 0;
        var grid = new HopperGrid { NumSteps = DivideUp(halves, Wgmma.TileK) };
        int cluster = variant.Kernel.ClusterSize, clusters = DivideUp(weight.OutFeatures, variant.Features);
        if (variant.IsWide)
        {
            (grid.NumTiles, grid.NumTailTiles, _) = Plan(HopperVariants.WideTileOf(index), output.NumRows, weight.OutFeatures);
            grid.NumTokenTiles = DivideUp(output.NumRows, WideTokens * cluster);
            grid.NumFeatureTiles = clusters;
            clusters = Math.Min(Math.Max(grid.NumTiles, grid.NumTailTiles), _device.NumMultiprocessors / cluster);
        }
        var shared = SharedMemoryConfig.RequestDynamic<byte>(variant.Kernel.DynamicSharedBytes);
        launcher(_device.Stream, new KernelConfig(clusters * cluster, variant.Kernel.GroupSize, shared), weightMap, tailMap, activationMap, outputMap, output, grid);
    }
}
