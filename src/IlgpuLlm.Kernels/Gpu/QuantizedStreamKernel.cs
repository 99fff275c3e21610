using System.Numerics;
using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Launches <see cref="QuantizedStreamBody{TCodes, TRaw, THalves, TWarps, TOutput}"/>: tiles of 8 rows (sm_80 and later).</summary>
internal sealed class QuantizedStreamKernel(GpuDevice device)
{
    /// <summary>Features that a group makes.</summary>
    public const int Features = 2 * QuantizedLayout.StripRows;

    /// <summary>Rows that a group makes: the columns of the tensor cores' instruction.</summary>
    public const int TileRows = 8;

    /// <summary>
    /// The rows up to which it beats a product of halves: each tile reads the weight from the L2 cache, at about twice the speed of memory, while halves
    /// are written and read, 4 and 8 times as many bytes as codes. An estimate.
    /// </summary>
    public const int MaxRows = 64;

    private const int WarpSize = 32;
    private const int ManyParts = 264; // of the features: two groups for each of an H100's multiprocessors; a constant, so that results do not depend on the device
    private const int WholeRowShift = 30;
    private const int ManyWarps = 16;
    private const int NumEpilogues = 4, NumOutputs = NumEpilogues + 2, NumForms = 3;
    private const int MaxRegisters = 128; // sixteen warps a multiprocessor

    // Compiled when first used.
    private readonly Launcher?[] _launchers = new Launcher?[Kernels.Length];
    private readonly NormedLauncher?[] _normedLaunchers = new NormedLauncher?[Kernels.Length];

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, long codes, long groups, ArrayView<uint> x, QuantizedOutput output, QuantizedStream sizes);

    private delegate void NormedLauncher(
        AcceleratorStream stream, KernelConfig config, long codes, long groups, ArrayView<float> x, ArrayView<float> norm, float epsilon, QuantizedOutput output,
        QuantizedStream sizes);

    public static IReadOnlyList<GpuKernel> Variants => Kernels;

    // [bits, size of groups and warps, epilogue; then of a row that is normalized: halves, gate and up]
    private static GpuKernel[] Kernels { get; } =
    [
        .. Outputs<Int4Codes, UInt4, WholeBlockGroups, C8>("int4"), .. Outputs<Int4Codes, UInt4, WholeBlockGroups, C16>("int4"),
        .. Outputs<Int4Codes, UInt4, HalfBlockGroups, C8>("int4.g32"),
        .. Outputs<Int8Codes, Int8Block, WholeBlockGroups, C8>("int8"), .. Outputs<Int8Codes, Int8Block, WholeBlockGroups, C16>("int8"),
        .. Outputs<Int8Codes, Int8Block, HalfBlockGroups, C8>("int8.g32"),
    ];

    /// <summary>
    /// Whether products with this weight can be made by tensor cores: rows of a multiple of 64, groups of a power of two from 32 on or whole rows, and
    /// gate and up in blocks of 8.
    /// </summary>
    public static bool Supports(GpuQuantizedWeight weight, GpuBuffer input, LinearEpilogue epilogue) =>
        input.Type == ElementType.F16 && input.Address % 16 == 0 && weight.InFeatures % QuantizedLayout.BlockInputs == 0
        && (weight.NumGroups == 1 || (weight.GroupLength >= QuantizedLayout.BlockInputs / 2 && BitOperations.IsPow2(weight.GroupLength)))
        && (epilogue != LinearEpilogue.GateUp || (weight.UpOffset == GpuWeight.GateUpBlock && weight.OutFeatures % QuantizedLayout.StripRows == 0));

    /// <summary>Queues the product of rows whose inputs are in the weight's order; shapes were checked.</summary>
    public void Launch(GpuQuantizedWeight weight, GpuBuffer input, QuantizedOutput output, LinearEpilogue epilogue)
    {
        int index = FormOf(weight) * NumOutputs + (int)epilogue;
        var launch = _launchers[index] ??= device.Load<Launcher>(Kernels[index]);
        int tiles = (output.NumRows + TileRows - 1) / TileRows;
        launch(
            device.Stream, new KernelConfig(PartsOf(weight) * tiles, Kernels[index].GroupSize), weight.Codes.Address, weight.Groups.Address, input.View<uint>(), output,
            SizesOf(weight));
    }

    /// <summary>Whether one row of floats can be normalized and multiplied in one kernel, to halves.</summary>
    public static bool SupportsNormed(GpuQuantizedWeight weight, GpuBuffer x, GpuBuffer norm, GpuBuffer normed, LinearEpilogue epilogue) =>
        epilogue is LinearEpilogue.Halves or LinearEpilogue.GateUp && Supports(weight, normed, epilogue) && weight.InputOrder is null
        && weight.InFeatures <= NormedRow.MaxWidth && x.Address % 16 == 0 && norm.Address % 16 == 0;

    /// <summary>Queues the product of a row that is normalized first.</summary>
    public void LaunchNormed(GpuQuantizedWeight weight, GpuBuffer x, GpuBuffer norm, float epsilon, QuantizedOutput output, LinearEpilogue epilogue)
    {
        int index = FormOf(weight) * NumOutputs + NumEpilogues + (epilogue == LinearEpilogue.GateUp ? 1 : 0);
        var launch = _normedLaunchers[index] ??= device.Load<NormedLauncher>(Kernels[index]);
        var shared = SharedMemoryConfig.RequestDynamic<byte>(NormedRow.SharedBytes(weight.InFeatures));
        launch(
            device.Stream, new KernelConfig(new Index3D(PartsOf(weight), 1, 1), new Index3D(Kernels[index].GroupSize, 1, 1), shared), weight.Codes.Address,
            weight.Groups.Address, x.View<float>(), norm.View<float>(), epsilon, output, SizesOf(weight));
    }

    private static int PartsOf(GpuQuantizedWeight weight) => (weight.OutFeatures + Features - 1) / Features;

    /// <summary>The place of a weight's kernels among those of all sizes of codes, of groups and of thread groups.</summary>
    private int FormOf(GpuQuantizedWeight weight)
    {
        bool hasHalfGroups = weight.NumGroups > 1 && weight.GroupLength < QuantizedLayout.BlockInputs;
        int form = hasHalfGroups ? 2 : PartsOf(weight) < ManyParts && TakesManyWarps(weight.Quantization!.Bits) ? 1 : 0;
        return (weight.Quantization!.Bits == 4 ? 0 : NumForms) + form;
    }

    /// <summary>Codes of 8 bits in sixteen warps have registers enough on Hopper alone.</summary>
    private bool TakesManyWarps(int bits) => bits == 4 || device is CudaGpuDevice { IsHopper: true };

    /// <summary>A weight's sizes.</summary>
    public static QuantizedStream SizesOf(GpuQuantizedWeight weight) => new()
    {
        NumBlocks = QuantizedLayout.NumBlocks(weight.InFeatures),
        NumGroups = weight.NumGroups,
        NumPanels = weight.NumPanels,
        GroupShift = weight.NumGroups == 1 ? WholeRowShift : BitOperations.Log2((uint)weight.GroupLength),
    };

    // In the order of LinearEpilogue, then those of a row that is normalized.
    private static GpuKernel[] Outputs<TCodes, TRaw, THalves, TWarps>(string name)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
        where THalves : struct, IHalfGroups
        where TWarps : struct, IConstant =>
    [
        Kernel<THalves, TWarps>($"{name}.w{TWarps.Value}.store", typeof(QuantizedStreamBody<TCodes, TRaw, THalves, TWarps, QuantizedHalves>), TCodes.Bits),
        Kernel<THalves, TWarps>($"{name}.w{TWarps.Value}.store-f32", typeof(QuantizedStreamBody<TCodes, TRaw, THalves, TWarps, QuantizedFloats<MmaOverwrites>>), TCodes.Bits),
        Kernel<THalves, TWarps>($"{name}.w{TWarps.Value}.add", typeof(QuantizedStreamBody<TCodes, TRaw, THalves, TWarps, QuantizedFloats<MmaAdds>>), TCodes.Bits),
        Kernel<THalves, TWarps>($"{name}.w{TWarps.Value}.silu-mul", typeof(QuantizedStreamBody<TCodes, TRaw, THalves, TWarps, QuantizedSiluMulHalves>), TCodes.Bits),
        Normed<THalves, TWarps>($"{name}.w{TWarps.Value}.store", typeof(NormQuantizedStreamBody<TCodes, TRaw, THalves, TWarps, QuantizedHalves>), TCodes.Bits),
        Normed<THalves, TWarps>($"{name}.w{TWarps.Value}.silu-mul", typeof(NormQuantizedStreamBody<TCodes, TRaw, THalves, TWarps, QuantizedSiluMulHalves>), TCodes.Bits),
    ];

    private static GpuKernel Normed<THalves, TWarps>(string name, Type body, int bits)
        where THalves : struct, IHalfGroups
        where TWarps : struct, IConstant =>
        Kernel<THalves, TWarps>($"norm.{name}", body, bits) with { DynamicSharedBytes = NormedRow.SharedBytes(NormedRow.MaxWidth) };

    private static GpuKernel Kernel<THalves, TWarps>(string name, Type body, int bits)
        where THalves : struct, IHalfGroups
        where TWarps : struct, IConstant =>
        GpuKernel.Of($"quantized.stream.{name}", body, TWarps.Value * WarpSize) with
        {
            IsCudaOnly = true,
            MaxRegisters = THalves.AreSeparate ? 0 : MaxRegisters,
            Target = TWarps.Value == ManyWarps && bits == 8 ? "sm_90" : null,
        };
}
