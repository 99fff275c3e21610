using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>How two values become one. Where the order matters, it is that of <see cref="GroupReduce"/>, the same for every group.</summary>
internal interface IReduction<T>
    where T : unmanaged
{
    static abstract T Combine(T left, T right);
}

/// <summary>Reductions over all lanes of a group of any size.</summary>
internal static class GroupReduce
{
    /// <summary>Lanes of the largest group.</summary>
    public const int MaxLanes = 1024;

    /// <summary>Elements of scratch.</summary>
    public const int ScratchLength = MaxLanes + Width;

    private const int Width = 32;

    /// <summary>
    /// Combines the lanes' values; every lane gets the same bits. Two barriers: 32 lanes combine a 32nd of the values each, then all lanes those 32. The
    /// scratch may be used for the next reduction at once: what a slow lane still reads is written after the next barrier only.
    /// </summary>
    /// <param name="value">This lane's value.</param>
    /// <param name="scratch">Shared memory, <see cref="ScratchLength"/> elements.</param>
    public static T All<T, TReduction>(T value, ArrayView<T> scratch)
        where T : unmanaged
        where TReduction : struct, IReduction<T>
    {
        int lane = Group.IdxX;
        scratch[lane] = value;
        GroupOps.Barrier();
        if (lane < Width)
        {
            for (int i = lane + Width; i < Group.DimX; i += Width)
                value = TReduction.Combine(value, scratch[i]);
            scratch[MaxLanes + lane] = value;
        }
        GroupOps.Barrier();
        T result = scratch[MaxLanes];
        for (int i = 1; i < IntrinsicMath.Min(Width, Group.DimX); i++)
            result = TReduction.Combine(result, scratch[MaxLanes + i]);
        return result;
    }
}
