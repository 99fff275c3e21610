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
    private const int NumEpilogues = 4, NumForms = 3;
    private const int MaxRegisters = 128; // sixteen warps a multiprocessor

    private readonly Launcher?[] _launchers = new Launcher?[Kernels.Length]; // compiled when first used

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, long codes, long groups, ArrayView<uint> x, QuantizedOutput output, QuantizedStream sizes);

    public static IReadOnlyList<GpuKernel> Variants => Kernels;

    // [bits, size of groups and warps, epilogue]
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
        bool hasHalfGroups = weight.NumGroups > 1 && weight.GroupLength < QuantizedLayout.BlockInputs;
        int parts = (weight.OutFeatures + Features - 1) / Features;
        int index = ((weight.Quantization!.Bits == 4 ? 0 : NumForms) + (hasHalfGroups ? 2 : parts < ManyParts && TakesManyWarps(weight.Quantization.Bits) ? 1 : 0)) * NumEpilogues + (int)epilogue;
        var launch = _launchers[index] ??= device.Load<Launcher>(Kernels[index]);
        int tiles = (output.NumRows + TileRows - 1) / TileRows;
        launch(
            device.Stream, new KernelConfig(parts * tiles, Kernels[index].GroupSize), weight.Codes.Address, weight.Groups.Address, input.View<uint>(), output,
            SizesOf(weight));
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

    // In the order of LinearEpilogue.
    private static GpuKernel[] Outputs<TCodes, TRaw, THalves, TWarps>(string name)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
        where THalves : struct, IHalfGroups
        where TWarps : struct, IConstant =>
    [
        Kernel<TCodes, TRaw, THalves, TWarps, QuantizedHalves>($"{name}.w{TWarps.Value}.store"), Kernel<TCodes, TRaw, THalves, TWarps, QuantizedFloats<MmaOverwrites>>($"{name}.w{TWarps.Value}.store-f32"),
        Kernel<TCodes, TRaw, THalves, TWarps, QuantizedFloats<MmaAdds>>($"{name}.w{TWarps.Value}.add"), Kernel<TCodes, TRaw, THalves, TWarps, QuantizedSiluMulHalves>($"{name}.w{TWarps.Value}.silu-mul"),
    ];

    private static GpuKernel Kernel<TCodes, TRaw, THalves, TWarps, TOutput>(string name)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
        where THalves : struct, IHalfGroups
        where TWarps : struct, IConstant
        where TOutput : struct, IQuantizedOutput =>
        GpuKernel.Of($"quantized.stream.{name}", typeof(QuantizedStreamBody<TCodes, TRaw, THalves, TWarps, TOutput>), TWarps.Value * WarpSize) with
        {
            IsCudaOnly = true,
            MaxRegisters = THalves.AreSeparate ? 0 : MaxRegisters,
            Target = TWarps.Value == ManyWarps && TCodes.Bits == 8 ? "sm_90" : null,
        };
}
