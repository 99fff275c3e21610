using System.Reflection;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>A kernel as it is compiled: one per format and tile variant. All of them are listed in <see cref="KernelCatalog"/>.</summary>
/// <param name="Name">Unique, such as <c>linear.f16.vector.x8</c>.</param>
/// <param name="Body">The static method that each lane runs, closed over its type parameters.</param>
/// <param name="GroupSize">Lanes in a group on a GPU; a power of two. The launcher divides it into X and Y.</param>
/// <param name="IsHot">Whether a step's time depends on it: the ptxas gate then allows no stack or local memory at all.</param>
internal sealed record GpuKernel(string Name, MethodInfo Body, int GroupSize, bool IsHot)
{
    /// <summary>Whether it uses PTX instructions, so that it neither loads nor runs elsewhere.</summary>
    public bool IsCudaOnly { get; init; }

    /// <summary>The dynamic shared memory of a group, in bytes.</summary>
    public int DynamicSharedBytes { get; init; }

    /// <summary>Describes the kernel whose body is the static method <c>Body</c> of <paramref name="type"/>.</summary>
    public static GpuKernel Of(string name, Type type, int groupSize, bool isHot = true)
    {
        var body = type.GetMethod("Body", BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)
            ?? throw new ArgumentException($"{type} has no static method Body", nameof(type));
        return new GpuKernel(name, body, groupSize, isHot);
    }
}
