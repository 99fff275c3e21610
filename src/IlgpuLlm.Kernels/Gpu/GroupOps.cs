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

    /// <summary>The sum of all lanes' values, for every lane, added in a fixed tree order.</summary>
    /// <param name="value">This lane's value.</param>
    /// <param name="scratch">Shared memory, an element a lane; may be used again after a barrier.</param>
    public static float Sum(float value, ArrayView<float> scratch)
    {
        int lane = Group.IdxX;
        scratch[lane] = value;
        for (int half = Group.DimX / 2; half > 0; half /= 2)
        {
            Group.Barrier();
            if (lane < half)
                scratch[lane] += scratch[lane + half];
        }
        Barrier();
        return scratch[0];
    }

    /// <summary>
    /// The sum over the lanes of a row of Group.DimX lanes, which is one warp (or one lane), for every lane. A butterfly: both partners add the same
    /// two numbers, so all lanes get the same bits.
    /// </summary>
    public static float WarpSum(float value)
    {
        for (int mask = Group.DimX / 2; mask > 0; mask /= 2)
            value += Warp.ShuffleXor(value, mask);
        return value;
    }
}
