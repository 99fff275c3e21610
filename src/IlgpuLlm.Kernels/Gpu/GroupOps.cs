using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Cooperation of a group's lanes, for any power-of-two group size. A group of one lane (ILGPU's CPU accelerator: a lane is an operating-system
/// thread there, and a barrier of 32 of them takes a millisecond) executes no barrier and no shuffle.
/// </summary>
internal static class GroupOps
{
    /// <summary>Waits for all lanes of the group.</summary>
    public static void Barrier()
    {
        if (Group.DimX > 1)
            Group.Barrier();
    }

    /// <summary>The sum of all lanes' values, for every lane: a butterfly over each warp, then over the warps.</summary>
    /// <param name="value">This lane's value.</param>
    /// <param name="scratch">Shared memory, an element a warp; may be used again after a barrier.</param>
    public static float Sum(float value, ArrayView<float> scratch)
    {
        const int WarpSize = 32;
        value = Butterfly(value, IntrinsicMath.Min(Group.DimX, WarpSize));
        if (Group.DimX <= WarpSize)
            return value;
        int lane = Group.IdxX % WarpSize;
        if (lane == 0)
            scratch[Group.IdxX / WarpSize] = value;
        Group.Barrier();
        return Butterfly(lane < Group.DimX / WarpSize ? scratch[lane] : 0f, WarpSize);
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
