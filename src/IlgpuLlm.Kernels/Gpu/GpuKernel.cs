using System.Reflection;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A kernel as it is compiled: one per format and tile variant. All of them are listed in <see cref="KernelCatalog"/>.</summary>
/// <param name="Name">Unique, such as <c>linear.f16.vector.x8</c>.</param>
/// <param name="Body">The static method that each lane runs, closed over its type parameters.</param>
/// <param name="GroupSize">Lanes in a group on a GPU; a power of two unless it is for CUDA only. The launcher divides it into X and Y.</param>
/// <param name="IsHot">Whether a step's time depends on it: the ptxas gate then allows no stack or local memory at all.</param>
internal sealed record GpuKernel(string Name, MethodInfo Body, int GroupSize, bool IsHot)
{
    /// <summary>Whether it uses PTX instructions, so that it neither loads nor runs elsewhere.</summary>
    public bool IsCudaOnly { get; init; }

    /// <summary>The dynamic shared memory of a group, in bytes.</summary>
    public int DynamicSharedBytes { get; init; }

    /// <summary>The only architecture that it is for, such as <c>sm_90a</c>; null: all.</summary>
    public string? Target { get; init; }

    /// <summary>
    /// The registers that a lane gets at the start, on sm_90 and later; 0: ptxas chooses. Needed where warps exchange registers (setmaxnreg), or where so many
    /// groups are to fit a multiprocessor.
    /// </summary>
    public int MaxRegisters { get; init; }

    /// <summary>The groups in a thread-block cluster (sm_90 and later); a grid is a multiple of it.</summary>
    public int ClusterSize { get; init; } = 1;

    /// <summary>Whether the groups of a cluster follow one another in the grid's third dimension; otherwise in its first.</summary>
    public bool IsClusterAlongZ { get; init; }

    /// <summary>Describes the kernel whose body is the static method <c>Body</c> of <paramref name="type"/>.</summary>
    public static GpuKernel Of(string name, Type type, int groupSize, bool isHot = true)
    {
        var body = type.GetMethod("Body", BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)
            ?? throw new ArgumentException($"{type} has no static method Body", nameof(type));
        return new GpuKernel(name, body, groupSize, isHot);
    }
}
