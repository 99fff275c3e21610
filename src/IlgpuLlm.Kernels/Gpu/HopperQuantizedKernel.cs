using System.Reflection;
using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="HopperQuantizedBody{TTile, TCodes, TRaw, TEpilogue}"/> (sm_90a): narrow tiles for up to <see cref="MaxNarrowRows"/> rows, wide ones above. A row's
/// result depends on the number of groups that share the inputs, not on the tokens of a tile.
/// </summary>
/// <param name="device">The device.</param>
/// <param name="isBatchInvariant">Whether as many groups share the inputs for every number of rows, <see cref="MaxNarrowRows"/> of them at a time.</param>
internal sealed class HopperQuantizedKernel(CudaGpuDevice device, bool isBatchInvariant = false) : IDisposable
{
    /// <summary>The rows of narrow tiles.</summary>
    public const int MaxNarrowRows = 128;

    private const int SmallestTokens = 8;
    private const int NumForms = 5; // by tokens
    private const int FewTokens = 16;
    private const int Features = 128; // of a group
    private const int WideCluster = 2;
    private const int StageInputs = 128;
    private const int MaxSplit = 8;
    private const int MinSteps = 2; // of a group
    private const int NumMultiprocessors = 132; // of an H100; a constant, so that results do not depend on the device

    private static readonly Type[] Tokens = [typeof(C8), typeof(C16), typeof(C32), typeof(C64), typeof(C128)];
    private static readonly int[] GroupsThatFit = [3, 3, 2, 2, 1]; // of a multiprocessor, by tokens
    private static readonly Type[] Splits = [typeof(C1), typeof(C2), typeof(C4), typeof(C8)];

    // In the order of LinearEpilogue.
    private static readonly Type[] Epilogues = [typeof(HalvesEpilogue), typeof(FloatsEpilogue), typeof(ResidualEpilogue), typeof(GateUpEpilogue)];
    private static readonly string[] EpilogueNames = ["store", "store-f32", "add", "silu-mul"];

    private static readonly int[] WideTokens = [256, 128];
    private static readonly double[] WideCosts = [1.0, 0.53]; // the time of a tile in units of one of 256 tokens

    // Narrow: [bits, tokens, split, epilogue]. Wide: [bits, tokens, epilogue].
    private static readonly HopperQuantizedVariant[] Narrow = [.. Enumerable.Range(0, 2 * NumForms * Splits.Length * Epilogues.Length).Select(CreateNarrow)];
    private static readonly HopperQuantizedVariant[] Wide = [.. Enumerable.Range(0, 2 * WideTokens.Length * Epilogues.Length).Select(CreateWide)];

    private readonly TensorMaps _maps = new(device);
    private readonly Dictionary<HopperQuantizedVariant, Launcher> _launchers = new(ReferenceEqualityComparer.Instance); // compiled when first used

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, long codes, long groups, long activationMap, HopperOutput output, QuantizedStream sizes, QuantizedGrid grid);

    public static IReadOnlyList<GpuKernel> Variants => [.. Narrow.Concat(Wide).Select(variant => variant.Kernel)];

    /// <summary>Whether the product can be made here: what <see cref="QuantizedStreamKernel"/> takes, stored 16 bytes at a time.</summary>
    public static bool Supports(GpuQuantizedWeight weight, GpuBuffer input, LinearEpilogue epilogue) =>
        QuantizedStreamKernel.Supports(weight, input, epilogue) && weight.OutFeatures % 8 == 0;

    /// <summary>Queues the product of rows whose inputs are in the weight's order; shapes were checked.</summary>
    public void Launch(GpuQuantizedWeight weight, GpuBuffer input, GpuBuffer output, int numRows, LinearEpilogue epilogue)
    {
        int width = epilogue == LinearEpilogue.GateUp ? weight.OutFeatures / 2 : weight.OutFeatures, rowsAtATime = isBatchInvariant ? MaxNarrowRows : numRows;
        for (int first = 0; first < numRows; first += rowsAtATime)
        {
            var target = new HopperOutput
            {
                Values = output.Address + (long)first * width * output.Type.SizeInBytes(),
                Bias = weight.Bias?.Address ?? 0,
                NumRows = Math.Min(rowsAtATime, numRows - first),
                NumColumns = weight.OutFeatures,
            };
            nint from = input.Address + (nint)((long)first * weight.InFeatures * input.Type.SizeInBytes());
            int inputRows = (int)Math.Min(input.Length / weight.InFeatures - first, int.MaxValue);
            if (target.NumRows <= MaxNarrowRows)
                LaunchNarrow(weight, from, inputRows, target, epilogue);
            else
                LaunchWide(weight, from, inputRows, target, output.Type, width, epilogue);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _maps.Dispose();

    private void LaunchNarrow(GpuQuantizedWeight weight, nint input, int inputRows, HopperOutput output, LinearEpilogue epilogue)
    {
        int tokens = 0;
        while (SmallestTokens << tokens < output.NumRows)
            tokens++;
        int split = System.Numerics.BitOperations.Log2((uint)Split(weight.OutFeatures, weight.InFeatures, isBatchInvariant ? MaxNarrowRows : SmallestTokens << tokens));
        var variant = Narrow[(((weight.Quantization!.Bits == 8 ? NumForms : 0) + tokens) * Splits.Length + split) * Epilogues.Length + (int)epilogue];
        Launch(variant, NumFeatureTiles(weight), weight, input, inputRows, output, default);
    }

    private void LaunchWide(
        GpuQuantizedWeight weight, nint input, int inputRows, HopperOutput output, ElementType outputType, int outputWidth, LinearEpilogue epilogue)
    {
        int clusters = device.NumMultiprocessors / WideCluster, featureTiles = (NumFeatureTiles(weight) + WideCluster - 1) / WideCluster, best = 0;
        for (int i = 1; i < WideTokens.Length; i++)
        {
            if (Time(i) < Time(best))
                best = i;
        }
        var variant = Wide[((weight.Quantization!.Bits == 8 ? WideTokens.Length : 0) + best) * Epilogues.Length + (int)epilogue];
        var grid = new QuantizedGrid
        {
            // Says how many rows there are, as what lies behind them must stay.
            OutputMap = _maps.Get((nint)output.Values, outputType, output.NumRows, outputWidth, variant.OutputBoxRows, variant.OutputBoxColumns),
            NumTiles = checked(NumTokenTiles(best) * featureTiles),
            NumTokenTiles = NumTokenTiles(best),
            NumFeatureTiles = featureTiles,
        };
        Launch(variant, Math.Min(grid.NumTiles, clusters), weight, input, inputRows, output, grid);

        int NumTokenTiles(int form) => (output.NumRows + WideTokens[form] - 1) / WideTokens[form];
        double Time(int form) => (NumTokenTiles(form) * featureTiles + clusters - 1) / clusters * WideCosts[form];
    }

    private void Launch(
        HopperQuantizedVariant variant, int numClusters, GpuQuantizedWeight weight, nint input, int inputRows, HopperOutput output, QuantizedGrid grid)
    {
        GpuKernel kernel = variant.Kernel;
        if (!_launchers.TryGetValue(variant, out Launcher? launch))
            _launchers.Add(variant, launch = device.Load<Launcher>(kernel));
        long map = _maps.Get(input, inputRows, weight.InFeatures, variant.ActivationBoxRows);
        var config = new KernelConfig(numClusters * kernel.ClusterSize, kernel.GroupSize, SharedMemoryConfig.RequestDynamic<byte>(kernel.DynamicSharedBytes));
        launch(device.Stream, config, weight.Codes.Address, weight.Groups.Address, map, output, QuantizedStreamKernel.SizesOf(weight), grid);
    }

    private static int NumFeatureTiles(GpuQuantizedWeight weight) => (weight.OutFeatures + Features - 1) / Features;

    /// <summary>
    /// The groups that share the inputs of a tile. Measured: with few rows as many as fit; with more each costs what it adds to the others' sums, so fewer, but
    /// where tiles alone need two rounds.
    /// </summary>
    private static int Split(int outFeatures, int inFeatures, int tokens)
    {
        int tiles = (outFeatures + Features - 1) / Features, steps = (inFeatures + StageInputs - 1) / StageInputs, split = 1;
        int maxGroups = tokens <= FewTokens || tiles > NumMultiprocessors ? 3 * NumMultiprocessors : 3 * NumMultiprocessors / 2;
        while (split < MaxSplit && 2 * split * tiles <= maxGroups && steps >= 2 * split * MinSteps)
            split *= 2;
        return split;
    }

    private static HopperQuantizedVariant CreateNarrow(int index)
    {
        int epilogue = index % Epilogues.Length, split = index / Epilogues.Length % Splits.Length, form = index / Epilogues.Length / Splits.Length;
        int tokens = form % NumForms, bits = form < NumForms ? 4 : 8;
        Type tile = typeof(NarrowTile<,,,>).MakeGenericType(Tokens[tokens], typeof(C128), GroupsThatFit[tokens] == 3 ? typeof(C75) : typeof(C112), Splits[split]);
        return Create($"{SmallestTokens << tokens}x{Features}.k{1 << split}", tile, bits, epilogue, GroupsThatFit[tokens]);
    }

    private static HopperQuantizedVariant CreateWide(int index)
    {
        int epilogue = index % Epilogues.Length, form = index / Epilogues.Length, tokens = WideTokens[form % WideTokens.Length];
        Type columns = tokens == 256 ? typeof(C256) : typeof(C128), tile = typeof(WideTile<,,>).MakeGenericType(columns, typeof(C2), columns);
        return Create($"wide.{tokens}x{Features}", tile, form < WideTokens.Length ? 4 : 8, epilogue, groupsThatFit: 1);
    }

    private static HopperQuantizedVariant Create(string name, Type tile, int bits, int epilogue, int groupsThatFit)
    {
        (Type codes, Type raw) = bits == 4 ? (typeof(Int4Codes), typeof(UInt4)) : (typeof(Int8Codes), typeof(Int8Block));
        var of = typeof(HopperQuantizedKernel).GetMethod(nameof(Of), BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(tile, codes, raw, Epilogues[epilogue]);
        return (HopperQuantizedVariant)of.Invoke(null, [$"quantized.hopper.int{bits}.{name}.{EpilogueNames[epilogue]}", groupsThatFit])!;
    }

    private static HopperQuantizedVariant Of<TTile, TCodes, TRaw, TEpilogue>(string name, int groupsThatFit)
        where TTile : struct, IHopperTile
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
        where TEpilogue : struct, IHopperEpilogue
    {
        int groupSize = HopperQuantizedBody<TTile, TCodes, TRaw, TEpilogue>.GroupSize, warps = (groupsThatFit * groupSize / 32 + 3) / 4 * 4; // dealt out to four schedulers
        var kernel = GpuKernel.Of(name, typeof(HopperQuantizedBody<TTile, TCodes, TRaw, TEpilogue>), groupSize) with
        {
            IsCudaOnly = true,
            Target = "sm_90a",
            MaxRegisters = Math.Min(255, 65536 / 32 / warps / 8 * 8), // those of wide tiles' warpgroups exchange them later
            ClusterSize = TTile.ClusterSize,
            DynamicSharedBytes = HopperQuantizedBody<TTile, TCodes, TRaw, TEpilogue>.SharedBytes,
        };
        return new(
            kernel, HopperQuantizedBody<TTile, TCodes, TRaw, TEpilogue>.ActivationBoxRows, HopperTokenBoxStore<TEpilogue>.BoxRows, HopperTokenBoxStore<TEpilogue>.BoxColumns);
    }
}

/// <summary>A kernel of <see cref="HopperQuantizedKernel"/> and what its launch must know.</summary>
internal sealed record HopperQuantizedVariant(GpuKernel Kernel, int ActivationBoxRows, int OutputBoxRows, int OutputBoxColumns);
