using ILGPU;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Element i of a weight, counted in row-major order, becomes amplitude * ((h >> 40) / 2^23 - 1) with h the SplitMix64 hash of
/// seed * 0xD1342543DE82EF95 + (i + 1) * 0x9E3779B97F4A7C15: the same on every backend, whatever the order of work.
/// </summary>
internal sealed class FillRandomKernel(GpuDevice device)
{
    private const int GroupSize = 256;
    private const int Stretch = 4096;

    private static readonly GpuKernel F32 = GpuKernel.Of("fill-random.f32", typeof(Kernel<F32Element, float>), GroupSize, isHot: false);
    private static readonly GpuKernel F16 = GpuKernel.Of("fill-random.f16", typeof(Kernel<F16Element, ushort>), GroupSize, isHot: false);

    private readonly Launcher<float> _float = device.Load<Launcher<float>>(F32);
    private readonly Launcher<ushort> _half = device.Load<Launcher<ushort>>(F16);

    private delegate void Launcher<T>(AcceleratorStream stream, KernelConfig config, ArrayView<T> output, ulong seed, float amplitude)
        where T : unmanaged;

    public static IReadOnlyList<GpuKernel> Variants => [F32, F16];

    public void Launch(GpuBuffer output, ulong seed, float amplitude)
    {
        var config = new KernelConfig(checked((int)((output.Length + Stretch - 1) / Stretch)), device.GroupSize(GroupSize));
        if (output.Type == ElementType.F32)
            _float(device.Stream, config, output.View<float>(), seed, amplitude);
        else
            _half(device.Stream, config, output.View<ushort>(), seed, amplitude);
    }

    /// <summary>The hash of an element.</summary>
    internal static ulong Hash(ulong seed, long element) => Mix(seed * 0xD1342543DE82EF95 + (ulong)(element + 1) * 0x9E3779B97F4A7C15);

    /// <summary>SplitMix64's output function.</summary>
    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    internal static class Kernel<TElement, T>
        where TElement : struct, IElement<T>
        where T : unmanaged
    {
        internal static void Body(ArrayView<T> output, ulong seed, float amplitude)
        {
            long first = (long)Grid.IdxX * Stretch;
            long end = IntrinsicMath.Min(first + Stretch, output.Length);
            for (long i = first + Group.IdxX; i < end; i += Group.DimX)
            {
                ulong hash = Hash(seed, i);
                float uniform = (int)(hash >> 40) * (1f / (1 << 23)) - 1f; // by way of int: ILGPU converts unsigned integers through double
                output[i] = TElement.Narrow(uniform * amplitude);
            }
        }
    }
}
