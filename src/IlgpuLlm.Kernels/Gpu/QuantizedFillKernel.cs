using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Fills quantized weights: the code of element i, counted in row-major order of the checkpoint, is the top bits of <see cref="FillRandomKernel.Hash"/>;
/// zero points are the middle code and scales amplitude / middle. A lane makes a byte; rows and inputs that are not there stay zero.
/// </summary>
internal sealed class QuantizedFillKernel(GpuDevice device)
{
    private const int GroupSize = 256;
    private const int Stretch = 4096;

    private static readonly GpuKernel Kernel = GpuKernel.Of("quantized.fill-random", typeof(QuantizedFillKernel), GroupSize, isHot: false);

    private readonly Launcher _launch = device.Load<Launcher>(Kernel);

    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, ArrayView<byte> codes, ArrayView<uint> groups, QuantizedFill fill);

    public static IReadOnlyList<GpuKernel> Variants => [Kernel];

    public void Launch(GpuQuantizedWeight weight, ulong seed, float amplitude)
    {
        var fill = new QuantizedFill
        {
            Seed = seed,
            Bits = weight.Quantization!.Bits,
            OutFeatures = weight.OutFeatures,
            InFeatures = weight.InFeatures,
            UpOffset = weight.UpOffset,
            Scale = BitConverter.HalfToUInt16Bits((System.Half)(amplitude / (1 << (weight.Quantization.Bits - 1)))),
        };
        long bytes = weight.Codes.ByteLength;
        var config = new KernelConfig(checked((int)((bytes + Stretch - 1) / Stretch)), device.GroupSize(GroupSize));
        _launch(device.Stream, config, weight.Codes.View<byte>(), weight.Groups.View<uint>(), fill);
    }

    internal static void Body(ArrayView<byte> codes, ArrayView<uint> groups, QuantizedFill fill)
    {
        long first = (long)Grid.IdxX * Stretch;
        long end = IntrinsicMath.Min(first + Stretch, codes.Length);
        int panelBytes = QuantizedLayout.NumBlocks(fill.InFeatures) * QuantizedLayout.BlockBytes(fill.Bits);
        for (long at = first + Group.IdxX; at < end; at += Group.DimX)
        {
            int panel = (int)(at / panelBytes), inPanel = (int)(at % panelBytes);
            var (inRow, input) = QuantizedFill.ElementOf(fill.Bits, inPanel);
            int row = panel * QuantizedLayout.PanelRows + inRow;
            uint value = fill.CodeOf(row, input);
            if (fill.Bits == 4)
                value |= fill.CodeOf(row, input + 8) << 4;
            codes[at] = (byte)value;
        }
        uint word = fill.Scale | ((uint)(QuantizedLayout.ZeroBase + (1 << (fill.Bits - 1))) << 16);
        for (long at = (long)Grid.IdxX * Group.DimX + Group.IdxX; at < groups.Length; at += (long)Grid.DimX * Group.DimX)
            groups[at] = word;
    }
}

/// <summary>What <see cref="QuantizedFillKernel"/> fills a weight with.</summary>
internal struct QuantizedFill
{
    public ulong Seed;
    public int Bits;
    public int OutFeatures;
    public int InFeatures;
    public int UpOffset;
    public uint Scale;

    /// <summary>The inverse of <see cref="QuantizedLayout.ByteOf"/>: the row and the first input of a byte of a panel.</summary>
    public static (int Row, int Input) ElementOf(int bits, int at)
    {
        int block = at / QuantizedLayout.BlockBytes(bits), inBlock = at % QuantizedLayout.BlockBytes(bits);
        int strip = inBlock / QuantizedLayout.StripBytes(bits), inStrip = inBlock % QuantizedLayout.StripBytes(bits);
        int lane = inStrip % QuantizedLayout.PlaneBytes / 16, inLane = inStrip % 16;
        int step = bits == 4 ? inLane / 4 : inStrip / QuantizedLayout.PlaneBytes * 2 + inLane / 8;
        int upper = bits == 4 ? inLane % 2 : inLane % 4 / 2;
        int i = bits == 4 ? inLane % 4 / 2 : inLane % 8 / 4 * 8 + inLane % 2;
        return (
            strip * QuantizedLayout.StripRows + lane / 4 + 8 * upper, block * QuantizedLayout.BlockInputs + step * QuantizedLayout.StepInputs + 2 * (lane % 4) + i);
    }

    /// <summary>The code at a place; zero outside the matrix.</summary>
    public readonly uint CodeOf(int place, int input)
    {
        if (place >= OutFeatures || input >= InFeatures)
            return 0;
        int half = OutFeatures / 2, turn = place / UpOffset;
        int row = UpOffset >= half ? place : turn / 2 * UpOffset + place % UpOffset + turn % 2 * half;
        return (uint)(int)(FillRandomKernel.Hash(Seed, (long)row * InFeatures + input) >> (64 - Bits));
    }
}
