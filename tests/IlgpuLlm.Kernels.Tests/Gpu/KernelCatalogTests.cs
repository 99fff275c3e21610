using System.Reflection;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Tests.Gpu;

[TestClass]
public sealed class KernelCatalogTests
{
    private static readonly GpuKernel Any = KernelCatalog.All[0];

    [TestMethod]
    public void All_NamesAndBodies_AreUnique()
    {
        Assert.AreEqual(KernelCatalog.All.Count, KernelCatalog.All.Select(k => k.Name).Distinct().Count());
        Assert.AreEqual(KernelCatalog.All.Count, KernelCatalog.All.Select(k => k.Body).Distinct().Count());
    }

    [TestMethod]
    public void All_EveryKernelBodyOfTheAssembly_IsListed()
    {
        static Type Definition(Type type) => type.IsGenericType ? type.GetGenericTypeDefinition() : type;
        var listed = KernelCatalog.All.Select(k => Definition(k.Body.DeclaringType!)).ToHashSet();
        foreach (var type in typeof(KernelCatalog).Assembly.GetTypes())
        {
            if (type.GetMethod("Body", BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public) is not null)
                Assert.Contains(type, listed, $"{type} is missing from KernelCatalog.All");
        }
    }

    [TestMethod]
    public void Compile_NormKernel_PatchesTargetAndUniformBranches()
    {
        string ptx = PtxKernels.Compile(KernelCatalog.All.Single(k => k.Name == "rms-norm.f32"), 9, 0);
        Assert.Contains(".target sm_90\n", ptx);
        Assert.DoesNotContain(".uni", ptx);
        Assert.Contains("sqrt.rn.f32", ptx); // IEEE: neither approximate
        Assert.DoesNotContain(".approx", ptx);
    }

    [TestMethod]
    public void Apply_Clusters_AreAlongOneDimension()
    {
        const string Text = ".target sm_80\n.entry K()\n.minnctapersm 1\n{\n\tgriddepcontrol.wait;\n}";
        string Of(bool isAlongZ) => PtxPatch.Apply(Text, 90, Any with { ClusterSize = 4, IsClusterAlongZ = isAlongZ });
        Assert.Contains(".minnctapersm 1\n.explicitcluster\n.reqnctapercluster 4, 1, 1\n{", Of(isAlongZ: false));
        Assert.Contains(".minnctapersm 1\n.explicitcluster\n.reqnctapercluster 1, 1, 4\n{", Of(isAlongZ: true));
    }

    [TestMethod]
    public void Apply_UniformBranchesAndCalls_LoseTheMark() =>
        Assert.AreEqual(
            ".target sm_90a\n bra L_1; call f; ret; brx.idx %r1, T; shfl.sync.bfly.b32 x;",
            PtxPatch.Apply(".target sm_80\n bra.uni L_1; call.uni f; ret.uni; brx.idx.uni %r1, T; shfl.sync.bfly.b32 x;", 90, Any with { Target = "sm_90a" }));

    [TestMethod]
    public void Apply_Dependencies_WaitAtTheEntryUnlessTheKernelDoesSoItself()
    {
        const string Plain = ".target sm_80\n.entry K(.param .u64 a)\n.maxntid 32\n{\n\tret;\n}", Own = ".target sm_80\n.entry K()\n{\n\tmov;\n\tgriddepcontrol.wait;\n}";
        Assert.AreEqual(
            ".target sm_90\n.entry K(.param .u64 a)\n.maxntid 32\n{\n\tgriddepcontrol.launch_dependents;\n\tgriddepcontrol.wait;\n\tret;\n}",
            PtxPatch.Apply(Plain, 90, Any));
        Assert.AreEqual(Own.Replace("sm_80", "sm_90"), PtxPatch.Apply(Own, 90, Any));
        Assert.AreEqual(Plain.Replace("sm_80", "sm_89"), PtxPatch.Apply(Plain, 89, Any));
        Assert.DoesNotContain("griddepcontrol", PtxPatch.Apply(Own, 89, Any));
    }
}
