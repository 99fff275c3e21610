using System.Text.RegularExpressions;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>Corrections to the PTX text that ILGPU writes.</summary>
internal static partial class PtxPatch
{
    /// <summary>
    /// Strips <c>.uni</c>: ILGPU's optimizer calls every call and atomic result uniform and marks branches as such that diverge; warps then need not
    /// meet again before a shuffle. And sets the target, as ILGPU writes sm_80 for all newer devices.
    /// </summary>
    /// <param name="ptx">The text.</param>
    /// <param name="target">Such as <c>sm_90</c>; null leaves it.</param>
    public static string Apply(string ptx, string? target)
    {
        ptx = Uniform().Replace(ptx, "$1");
        return target is null ? ptx : Target().Replace(ptx, ".target " + target);
    }

    /// <summary>The same, and the directives of the kernel's entry that ILGPU does not know.</summary>
    public static string Apply(string ptx, string? target, GpuKernel kernel)
    {
        ptx = Apply(ptx, kernel.Target ?? target);
        string directives = (kernel.MaxRegisters > 0 ? $"\n.maxnreg {kernel.MaxRegisters}" : "")
            + (kernel.ClusterSize > 1 ? $"\n.explicitcluster\n.reqnctapercluster {kernel.ClusterSize}, 1, 1" : "");
        return directives.Length == 0 ? ptx : LastDirective().Replace(ptx, "$0" + directives, 1);
    }

    [GeneratedRegex(@"\b(bra|brx\.idx|call|ret)\.uni\b")]
    private static partial Regex Uniform();

    [GeneratedRegex(@"\.target sm_\d+\w*")]
    private static partial Regex Target();

    [GeneratedRegex(@"\.minnctapersm \d+")]
    private static partial Regex LastDirective();
}
