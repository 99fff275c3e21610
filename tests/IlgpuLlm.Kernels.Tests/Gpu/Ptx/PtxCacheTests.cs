using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Tests.Gpu.Ptx;

[TestClass]
public sealed class PtxCacheTests
{
    private const string Target = "sm_90, PTX 8.4";

    private static readonly PtxKernel Some = new("// first line\n.entry Kernel_Body() { }\n", 1024, true);

    private readonly string _folder = Directory.CreateTempSubdirectory("ptx-cache-").FullName;

    private static GpuKernel Kernel => KernelCatalog.All[0];

    [TestCleanup]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [TestMethod]
    public void Find_AfterStore_ReturnsItForThisKernelAndTargetAlone()
    {
        var cache = new PtxCache(Path.Combine(_folder, "made", "on demand"));
        Assert.IsNull(cache.Find(Kernel, Target));
        cache.Store(Kernel, Target, Some);
        Assert.AreEqual(Some, cache.Find(Kernel, Target));
        Assert.IsNull(cache.Find(Kernel, "sm_80, PTX 8.4"));
        Assert.IsNull(cache.Find(KernelCatalog.All[1], Target));
        var other = Some with { HasDynamicShared = false, StaticSharedBytes = 0 };
        cache.Store(Kernel, Target, other);
        Assert.AreEqual(other, cache.Find(Kernel, Target));
        Assert.HasCount(1, Directory.GetFiles(_folder, "*", SearchOption.AllDirectories), "temporary files are gone");
    }

    [TestMethod]
    public void Find_BrokenEntries_AreAbsentAndReplaced()
    {
        var cache = new PtxCache(_folder);
        cache.Store(Kernel, Target, Some);
        string file = Directory.GetFiles(_folder).Single(), whole = File.ReadAllText(file);
        var random = new Random(1);
        for (int i = 0; i < 200; i++)
        {
            char[] broken = whole[..random.Next(whole.Length + 1)].ToCharArray();
            if (broken.Length == whole.Length)
                broken[random.Next(broken.Length)] ^= (char)(1 + random.Next(7));
            File.WriteAllText(file, new string(broken));
            Assert.AreEqual(new string(broken) == whole ? Some : null, cache.Find(Kernel, Target), new string(broken));
        }
        File.WriteAllBytes(file, [0xff, 0xfe, 0, 1, 10, 13]);
        Assert.IsNull(cache.Find(Kernel, Target));
        cache.Store(Kernel, Target, Some);
        Assert.AreEqual(Some, cache.Find(Kernel, Target));
    }

    [TestMethod]
    public void Cache_FolderThatCannotBe_IsSilent()
    {
        string file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");
        foreach (string? folder in new[] { null, file, Path.Combine(file, "below"), "/proc/no/such", "bad\0name" })
        {
            var cache = new PtxCache(folder);
            cache.Store(Kernel, Target, Some);
            Assert.IsNull(cache.Find(Kernel, Target), folder);
            cache.Trim();
        }
    }

    [TestMethod]
    public void Trim_TooMuch_DeletesTheOldest()
    {
        var cache = new PtxCache(_folder);
        for (int i = 0; i < 10; i++)
        {
            string file = Path.Combine(_folder, $"{i}.ptx");
            File.WriteAllText(file, new string(' ', 100));
            File.SetLastWriteTimeUtc(file, new DateTime(2026, 1, 1 + (i * 7 % 10), 0, 0, 0, DateTimeKind.Utc));
        }
        cache.Trim(1000, 500);
        Assert.HasCount(10, Directory.GetFiles(_folder));
        cache.Trim(999, 500);
        CollectionAssert.AreEquivalent((string[])["1.ptx", "4.ptx", "5.ptx", "7.ptx", "8.ptx"], Directory.GetFiles(_folder).Select(Path.GetFileName).ToArray());
    }

    [TestMethod]
    [DataRow("ILGPULLM_CACHE=/a HOME=/h XDG_CACHE_HOME=/x", "/a/ptx")]
    [DataRow("ILGPULLM_CACHE= HOME=/h", null)]
    [DataRow("HOME=/h XDG_CACHE_HOME=/x", "/x/ilgpullm/ptx")]
    [DataRow("HOME=/h XDG_CACHE_HOME=", "/h/.cache/ilgpullm/ptx")]
    [DataRow("HOME=", null)]
    [DataRow("", null)]
    [DataRow("ILGPULLM_CACHE=relative", null)]
    public void FolderOf_Environment_FollowsXdg(string environment, string? expected)
    {
        if (OperatingSystem.IsWindows())
            Assert.Inconclusive("paths are Unix ones");
        var values = environment.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('=')).ToDictionary(v => v[0], v => v[1]);
        Assert.AreEqual(expected, PtxCache.FolderOf(values.GetValueOrDefault));
    }

    [TestMethod]
    public void Get_SeveralThreads_CompileOnceAndThenFind()
    {
        var cache = new PtxCache(_folder);
        using var compiler = new PtxCompiler(CudaArchitecture.SM_90, CudaInstructionSet.ISA_84);
        var kernels = KernelCatalog.All.Take(6).ToArray();
        var compiled = new PtxKernel[kernels.Length];
        Parallel.For(0, kernels.Length, i => compiled[i] = PtxKernels.Get(compiler, cache, kernels[i]));
        for (int i = 0; i < kernels.Length; i++)
        {
            StringAssert.Contains(compiled[i].Text, ".entry Kernel_Body");
            Assert.AreEqual(compiled[i], cache.Find(kernels[i], compiler.Target), kernels[i].Name);
        }
    }

    [TestMethod]
    public void ForLauncher_CompiledElsewhere_HasTheNameAndTheSharedMemoryOfTheText()
    {
        using var context = ILGPU.Context.Create(builder => PtxKernels.Configure(builder));
        var launchable = PtxKernels.ForLauncher(context, Kernel, Some);
        Assert.AreEqual("Kernel_Body", launchable.Name);
        Assert.AreEqual(Some.Text, launchable.PTXAssembly);
        Assert.AreEqual(Kernel.GroupSize, launchable.Specialization.MaxNumThreadsPerGroup);
    }
}
