using ILGPU;
using ILGPU.Runtime;
using Rows2 = IlgpuLlm.Kernels.Gpu.SimtPair<IlgpuLlm.Kernels.Gpu.SimtRow>;
using Rows4 = IlgpuLlm.Kernels.Gpu.SimtPair<IlgpuLlm.Kernels.Gpu.SimtPair<IlgpuLlm.Kernels.Gpu.SimtRow>>;
using Rows8 = IlgpuLlm.Kernels.Gpu.SimtPair<IlgpuLlm.Kernels.Gpu.SimtPair<IlgpuLlm.Kernels.Gpu.SimtPair<IlgpuLlm.Kernels.Gpu.SimtRow>>>;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Launches <see cref="SimtLinearBody{TShape, TTile, TOutput}"/>: products of several rows of floats in IEEE single precision, on sm_80 and later. A row's
/// result is the same for 2 to <see cref="MaxSharedOutRows"/> rows, and for every number above; the two orders of additions differ, and both differ from that
/// of one row (<see cref="GemvKernel"/>).
/// </summary>
/// <param name="device">The device.</param>
/// <param name="isBatchInvariant">Whether k is shared out whatever the number of rows, so that there is but one order.</param>
internal sealed class SimtLinearKernel(GpuDevice device, bool isBatchInvariant = false)
{
    /// <summary>Up to so many rows k is shared out among a group's warps: large tiles would be too few for all multiprocessors.</summary>
    public const int MaxSharedOutRows = 256;

    private const int MaxRegisters = 128; // 16 warps a multiprocessor

    private static readonly Tile[] Tiles =
    [
        Tile.Of<SimtDeep6, SimtRow>(), Tile.Of<SimtDeep6, Rows2>(), Tile.Of<SimtDeep4, Rows4>(), Tile.Of<SimtDeep3, Rows8>(), Tile.Of<SimtWide, Rows8>(),
    ];

    private Launcher[][]? _launchers;

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, long activations, long weight, SimtOutput output, int inFeatures);

    public static IReadOnlyList<GpuKernel> Variants => [.. Tiles.SelectMany(t => t.Kernels)];

    /// <summary>Whether this product can be made here: floats whose rows are 16-byte aligned.</summary>
    public static bool Supports(GpuLinearWeight weight, GpuBuffer input) =>
        weight.Storage == ElementType.F32 && input.Type == ElementType.F32 && SupportsRows(weight.InFeatures) && weight.Matrix.Address % 16 == 0 && input.Address % 16 == 0;

    /// <summary>Whether rows of so many floats are 16-byte aligned.</summary>
    public static bool SupportsRows(int inFeatures) => inFeatures % 4 == 0;

    /// <summary>Begins to compile and load the kernels, for a model that has weights of floats.</summary>
    public void Prepare() => _launchers ??= [.. Tiles.Select(t => t.Kernels.Select(device.Load<Launcher>).ToArray())];

    /// <summary>Queues the product; shapes were checked. Gate and up lie in blocks of 8.</summary>
    public void Launch(GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, int numRows, LinearEpilogue epilogue)
    {
        Prepare();
        var target = new SimtOutput
        {
            Values = output.View<float>(),
            Bias = weight.Bias?.View<float>() ?? output.View<float>(),
            HasBias = weight.HasBias ? 1 : 0,
            NumRows = numRows,
            NumColumns = weight.OutFeatures,
        };
        int index = numRows switch { <= 8 => 0, <= 16 => 1, <= 32 => 2, <= MaxSharedOutRows => 3, _ => isBatchInvariant ? 3 : 4 };
        var tile = Tiles[index];
        // Groups of the same columns are neighbours: they find each other's weights in the L2 cache.
        var groups = new Index3D((numRows + tile.Rows - 1) / tile.Rows, (weight.OutFeatures + tile.Columns - 1) / tile.Columns, 1);
        var kernel = tile.Kernels[0];
        var config = new KernelConfig(groups, new Index3D(kernel.GroupSize, 1, 1), SharedMemoryConfig.RequestDynamic<byte>(kernel.DynamicSharedBytes));
        int variant = epilogue switch { LinearEpilogue.Residual => 1, LinearEpilogue.GateUp => 2, _ => 0 };
        _launchers![index][variant](device.Stream, config, input.Address, weight.Matrix.Address, target, weight.InFeatures);
    }

    /// <summary>The variants of one tile: store, add, gate and up.</summary>
    private sealed record Tile(int Rows, int Columns, GpuKernel[] Kernels)
    {
        public static Tile Of<TShape, TTile>()
            where TShape : struct, ISimtShape
            where TTile : unmanaged, ISimtTile<TTile> => new(
                SimtLinearBody<TShape, TTile, SimtStore>.TileM, SimtLinearBody<TShape, TTile, SimtStore>.TileN,
                [Kernel<TShape, TTile, SimtStore>("store"), Kernel<TShape, TTile, SimtAdd>("add"), Kernel<TShape, TTile, SimtSiluMul>("silu-mul")]);

        private static GpuKernel Kernel<TShape, TTile, TOutput>(string name)
            where TShape : struct, ISimtShape
            where TTile : unmanaged, ISimtTile<TTile>
            where TOutput : struct, ISimtOutput => GpuKernel.Of(
                $"linear.simt.{SimtLinearBody<TShape, TTile, TOutput>.TileM}x{SimtLinearBody<TShape, TTile, TOutput>.TileN}.{name}",
                typeof(SimtLinearBody<TShape, TTile, TOutput>), SimtLinearBody<TShape, TTile, TOutput>.GroupSize) with
            {
                IsCudaOnly = true,
                DynamicSharedBytes = SimtLinearBody<TShape, TTile, TOutput>.SharedBytes,
                MaxRegisters = MaxRegisters,
            };
    }
}
