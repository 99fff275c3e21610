using System.Text.RegularExpressions;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>Corrections to the PTX text that ILGPU writes.</summary>
internal static partial class PtxPatch
{
    private const int FirstWithDependentLaunch = 90;

    /// <summary>
    /// Strips <c>.uni</c>: ILGPU's optimizer calls every call and atomic result uniform and marks branches as such that diverge; warps then need not
    /// meet again before a shuffle. Sets the target, as ILGPU writes sm_80 for all newer devices, and the directives of the kernel's entry that ILGPU does
    /// not know. And has every kernel wait for the one before it, on devices where it can be launched before that one has ended.
    /// </summary>
    /// <param name="ptx">The text.</param>
    /// <param name="architecture">The device's, such as 90 for sm_90.</param>
    /// <param name="kernel">The kernel.</param>
    public static string Apply(string ptx, int architecture, GpuKernel kernel)
    {
        // Later devices run sm_90 as well, and their own targets need a newer PTX than ILGPU writes.
        ptx = Target().Replace(Uniform().Replace(ptx, "$1"), ".target " + (kernel.Target ?? $"sm_{Math.Min(architecture, FirstWithDependentLaunch)}"));
        string directives = (kernel.MaxRegisters > 0 && architecture >= FirstWithDependentLaunch ? $"\n.maxnreg {kernel.MaxRegisters}" : "")
            + (kernel.ClusterSize > 1 ? $"\n.explicitcluster\n.reqnctapercluster {(kernel.IsClusterAlongZ ? $"1, 1, {kernel.ClusterSize}" : $"{kernel.ClusterSize}, 1, 1")}" : "");
        if (directives.Length > 0)
            ptx = LastDirective().Replace(ptx, "$0" + directives, 1);
        if (architecture < FirstWithDependentLaunch)
            return DependencyControl().Replace(ptx, "");
        return DependencyControl().IsMatch(ptx) ? ptx : Entry().Replace(ptx, "$0\n\tgriddepcontrol.launch_dependents;\n\tgriddepcontrol.wait;", 1);
    }

    [GeneratedRegex(@"\b(bra|brx\.idx|call|ret)\.uni\b")]
    private static partial Regex Uniform();

    [GeneratedRegex(@"\.target sm_\d+\w*")]
    private static partial Regex Target();

    [GeneratedRegex(@"griddepcontrol\.\w+;")]
    private static partial Regex DependencyControl();

    // The kernel's parameters, directives, and the brace that opens its body.
    [GeneratedRegex(@"\.entry [^{]*\{")]
    private static partial Regex Entry();

    [GeneratedRegex(@"\.minnctapersm \d+")]
    private static partial Regex LastDirective();
}
