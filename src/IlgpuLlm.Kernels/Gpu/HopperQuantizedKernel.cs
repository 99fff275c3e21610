using System.Reflection;
using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="HopperQuantizedBody{TTile, TCodes, TRaw, TEpilogue}"/> (sm_90a). A row's result depends on the number of groups that share the inputs,
/// not on the tokens of a tile.
/// </summary>
/// <param name="device">The device.</param>
/// <param name="isBatchInvariant">Whether as many groups share the inputs for every number of rows, <see cref="MaxRows"/> of them at a time.</param>
internal sealed class HopperQuantizedKernel(CudaGpuDevice device, bool isBatchInvariant = false) : IDisposable
{
    /// <summary>The rows that a launch takes.</summary>
    public const int MaxRows = 128;

    private const int SmallestTokens = 8;
    private const int NumForms = 5; // by tokens
    private const int FewTokens = 16;
    private const int Features = 128; // of a group
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

    // [bits, tokens, split, epilogue]
    private static readonly GpuKernel[] Kernels = [.. Enumerable.Range(0, 2 * NumForms * Splits.Length * Epilogues.Length).Select(Create)];

    private readonly TensorMaps _maps = new(device);
    private readonly Launcher?[] _launchers = new Launcher?[Kernels.Length]; // compiled when first used

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, long codes, long groups, long activationMap, HopperOutput output, QuantizedStream sizes);

    public static IReadOnlyList<GpuKernel> Variants => Kernels;

    /// <summary>Whether the product can be made here: what <see cref="QuantizedStreamKernel"/> takes, stored 16 bytes at a time.</summary>
    public static bool Supports(GpuQuantizedWeight weight, GpuBuffer input, LinearEpilogue epilogue) =>
        QuantizedStreamKernel.Supports(weight, input, epilogue) && weight.OutFeatures % 8 == 0;

    /// <summary>Queues the product of rows whose inputs are in the weight's order; shapes were checked.</summary>
    public void Launch(GpuQuantizedWeight weight, GpuBuffer input, GpuBuffer output, int numRows, LinearEpilogue epilogue)
    {
        int tokens = 0, width = epilogue == LinearEpilogue.GateUp ? weight.OutFeatures / 2 : weight.OutFeatures;
        while (SmallestTokens << tokens < Math.Min(numRows, MaxRows))
            tokens++;
        int split = System.Numerics.BitOperations.Log2((uint)Split(weight.OutFeatures, weight.InFeatures, isBatchInvariant ? MaxRows : SmallestTokens << tokens));
        int index = (((weight.Quantization!.Bits == 8 ? NumForms : 0) + tokens) * Splits.Length + split) * Epilogues.Length + (int)epilogue;
        GpuKernel kernel = Kernels[index];
        var launch = _launchers[index] ??= device.Load<Launcher>(kernel);
        int boxRows = SmallestTokens << tokens, inputRows = (int)Math.Min(input.Length / weight.InFeatures, int.MaxValue);
        int clusters = (weight.OutFeatures + Features - 1) / Features;
        var config = new KernelConfig(clusters * kernel.ClusterSize, kernel.GroupSize, SharedMemoryConfig.RequestDynamic<byte>(kernel.DynamicSharedBytes));
        for (int first = 0; first < numRows; first += MaxRows)
        {
            var target = new HopperOutput
            {
                Values = output.Address + (long)first * width * output.Type.SizeInBytes(),
                Bias = weight.Bias?.Address ?? 0,
                NumRows = Math.Min(MaxRows, numRows - first),
                NumColumns = weight.OutFeatures,
            };
            nint from = input.Address + (nint)((long)first * weight.InFeatures * input.Type.SizeInBytes());
            long map = _maps.Get(from, inputRows - first, weight.InFeatures, boxRows);
            launch(device.Stream, config, weight.Codes.Address, weight.Groups.Address, map, target, QuantizedStreamKernel.SizesOf(weight));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _maps.Dispose();

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

    private static GpuKernel Create(int index)
    {
        int epilogue = index % Epilogues.Length, split = index / Epilogues.Length % Splits.Length, form = index / Epilogues.Length / Splits.Length;
        int tokens = form % NumForms;
        Type tile = typeof(NarrowTile<,,,>).MakeGenericType(Tokens[tokens], typeof(C128), GroupsThatFit[tokens] == 3 ? typeof(C75) : typeof(C112), Splits[split]);
        (Type codes, Type raw) = form < NumForms ? (typeof(Int4Codes), typeof(UInt4)) : (typeof(Int8Codes), typeof(Int8Block));
        string name = $"quantized.hopper.int{(form < NumForms ? 4 : 8)}.{SmallestTokens << tokens}x{Features}.k{1 << split}.{EpilogueNames[epilogue]}";
        var of = typeof(HopperQuantizedKernel).GetMethod(nameof(Of), BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(tile, codes, raw, Epilogues[epilogue]);
        return (GpuKernel)of.Invoke(null, [name, GroupsThatFit[tokens]])!;
    }

    private static GpuKernel Of<TTile, TCodes, TRaw, TEpilogue>(string name, int groupsThatFit)
        where TTile : struct, IHopperTile
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
        where TEpilogue : struct, IHopperEpilogue
    {
        int groupSize = HopperQuantizedBody<TTile, TCodes, TRaw, TEpilogue>.GroupSize, warps = (groupsThatFit * groupSize / 32 + 3) / 4 * 4; // dealt out to four schedulers
        return GpuKernel.Of(name, typeof(HopperQuantizedBody<TTile, TCodes, TRaw, TEpilogue>), groupSize) with
        {
            IsCudaOnly = true,
            Target = "sm_90a",
            MaxRegisters = Math.Min(255, 65536 / 32 / warps / 8 * 8),
            ClusterSize = TTile.ClusterSize,
            DynamicSharedBytes = HopperQuantizedBody<TTile, TCodes, TRaw, TEpilogue>.SharedBytes,
        };
    }
}
