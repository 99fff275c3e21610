using System.Numerics;
using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Launches <see cref="QuantizedStreamBody{TCodes, TRaw, TOutput}"/>: tiles of 8 rows (sm_80 and later).</summary>
internal sealed class QuantizedStreamKernel(GpuDevice device)
{
    /// <summary>Warps of a group.</summary>
    public const int Warps = 8;

    /// <summary>Rows that a group makes: the columns of the tensor cores' instruction.</summary>
    public const int TileRows = 8;

    /// <summary>
    /// The rows up to which it beats a product of halves: each tile reads the weight from the L2 cache, at about twice the speed of memory, while halves
    /// are written and read, 4 and 8 times as many bytes as codes. An estimate.
    /// </summary>
    public const int MaxRows = 64;

    private const int GroupSize = 32 * Warps;
    private const int WholeRowShift = 30;

    private readonly Launcher[] _int4 = [.. Int4.Select(device.Load<Launcher>)], _int8 = [.. Int8.Select(device.Load<Launcher>)];

    private delegate void Launcher(
        AcceleratorStream stream, KernelConfig config, long codes, long groups, ArrayView<ushort> x, QuantizedOutput output, QuantizedStream sizes);

    public static IReadOnlyList<GpuKernel> Variants => [.. Int4, .. Int8];

    private static GpuKernel[] Int4 { get; } = Outputs<Int4Codes, UInt4>("int4");

    private static GpuKernel[] Int8 { get; } = Outputs<Int8Codes, Int8Block>("int8");

    /// <summary>
    /// Whether products with this weight can be made by tensor cores: rows of a multiple of 64, groups of a power of two from 16 on or whole rows, and
    /// gate and up in blocks of 8.
    /// </summary>
    public static bool Supports(GpuQuantizedWeight weight, GpuBuffer input, LinearEpilogue epilogue) =>
        input.Type == ElementType.F16 && input.Address % 16 == 0 && weight.InFeatures % QuantizedLayout.BlockInputs == 0
        && (weight.NumGroups == 1 || (weight.GroupLength >= QuantizedLayout.LaneInputs && BitOperations.IsPow2(weight.GroupLength)))
        && (epilogue != LinearEpilogue.GateUp || (weight.UpOffset == GpuWeight.GateUpBlock && weight.OutFeatures % QuantizedLayout.StripRows == 0));

    /// <summary>Queues the product of rows whose inputs are in the weight's order; shapes were checked.</summary>
    public void Launch(GpuQuantizedWeight weight, GpuBuffer input, QuantizedOutput output, LinearEpilogue epilogue)
    {
        var launch = (weight.Quantization!.Bits == 4 ? _int4 : _int8)[(int)epilogue];
        launch(
            device.Stream, new KernelConfig(weight.NumStrips * ((output.NumRows + TileRows - 1) / TileRows), GroupSize), weight.Codes.Address, weight.Groups.Address, input.View<ushort>(), output,
            SizesOf(weight));
    }

    /// <summary>A weight's sizes.</summary>
    public static QuantizedStream SizesOf(GpuQuantizedWeight weight) => new()
    {
        NumBlocks = QuantizedLayout.NumBlocks(weight.InFeatures),
        NumGroups = weight.NumGroups,
        GroupShift = weight.NumGroups == 1 ? WholeRowShift : BitOperations.Log2((uint)weight.GroupLength),
    };

    // In the order of LinearEpilogue.
    private static GpuKernel[] Outputs<TCodes, TRaw>(string name)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged =>
    [
        Kernel<TCodes, TRaw, QuantizedHalves>($"{name}.store"), Kernel<TCodes, TRaw, QuantizedFloats<MmaOverwrites>>($"{name}.store-f32"),
        Kernel<TCodes, TRaw, QuantizedFloats<MmaAdds>>($"{name}.add"), Kernel<TCodes, TRaw, QuantizedSiluMulHalves>($"{name}.silu-mul"),
    ];

    private static GpuKernel Kernel<TCodes, TRaw, TOutput>(string name)
        where TCodes : struct, IQuantizedCodes<TRaw>
        where TRaw : unmanaged
        where TOutput : struct, IQuantizedOutput =>
        GpuKernel.Of($"quantized.stream.{name}", typeof(QuantizedStreamBody<TCodes, TRaw, TOutput>), GroupSize) with { IsCudaOnly = true };
}
