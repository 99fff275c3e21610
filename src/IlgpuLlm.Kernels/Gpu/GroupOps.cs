using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Cooperation of a group's lanes, for any power-of-two group size. A group of one lane (ILGPU's CPU accelerator: a lane is an operating-system
/// thread there, and a barrier of 32 of them takes a millisecond) executes no barrier and no shuffle.
/// </summary>
internal static class GroupOps
{
    /// <summary>This lane's number in a group of one or two dimensions.</summary>
    public static int Lane => Group.IdxY * Group.DimX + Group.IdxX;

    /// <summary>Lanes of a group of one or two dimensions.</summary>
    public static int NumLanes => Group.DimX * Group.DimY;

    /// <summary>Waits for all lanes of the group.</summary>
    public static void Barrier()
    {
        if (NumLanes > 1)
            Group.Barrier();
    }

    /// <summary>The sum of all lanes' values, for every lane: a butterfly over each warp, then over the warps.</summary>
    /// <param name="value">This lane's value.</param>
    /// <param name="scratch">Shared memory, an element a warp; may be used again after a barrier.</param>
    public static float Sum(float value, ArrayView<float> scratch)
    {
        const int WarpSize = 32;
        value = Butterfly(value, IntrinsicMath.Min(NumLanes, WarpSize));
        if (NumLanes <= WarpSize)
            return value;
        int lane = Lane % WarpSize;
        if (lane == 0)
            scratch[Lane / WarpSize] = value;
        Group.Barrier();
        return Butterfly(lane < NumLanes / WarpSize ? scratch[lane] : 0f, WarpSize);
    }

    /// <summary>
    /// The sum over the lanes of a row of Group.DimX lanes, which is one warp (or one lane), for every lane. A butterfly: both partners add the same
    /// two numbers, so all lanes get the same bits.
    /// </summary>
    public static float WarpSum(float value) => Butterfly(value, Group.DimX);

    /// <summary>The largest of the values of a group's lanes, which are one warp (or one lane), for every lane.</summary>
    public static uint WarpMax(uint value)
    {
        for (int mask = Group.DimX / 2; mask > 0; mask /= 2)
            value = IntrinsicMath.Max(value, Warp.ShuffleXor(value, mask));
        return value;
    }

    private static float Butterfly(float value, int lanes)
    {
        for (int mask = lanes / 2; mask > 0; mask /= 2)
            value += Warp.ShuffleXor(value, mask);
        return value;
    }
}
