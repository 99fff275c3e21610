using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Kernels.Tests.Gpu;

[TestClass]
public sealed class DeferredLauncherTests
{
    private delegate void Launcher(AcceleratorStream stream, KernelConfig config, ArrayView<int> output, long value, Index2D pair);

    [TestMethod]
    public void Create_KernelNotLoadedYet_LaunchesOnceItIs()
    {
        using var context = Context.Create(builder => builder.CPU());
        using var accelerator = context.CreateCPUAccelerator(0);
        using var buffer = accelerator.Allocate1D<int>(4);
        var loading = new TaskCompletionSource<Kernel>();
        var launch = DeferredLauncher<Launcher>.Create(loading.Task);
        var launched = Task.Run(() =>
        {
            accelerator.Bind();
            for (int i = 0; i < 2; i++)
                launch(accelerator.DefaultStream, new KernelConfig(2, 2), buffer.View.AsContiguous(), 1L << 33, new Index2D(3, 4));
            accelerator.Synchronize();
        });
        Assert.IsFalse(launched.Wait(20), "waits for the kernel");
        using var kernel = accelerator.LoadKernel(((Delegate)Body).Method, KernelSpecialization.Empty);
        loading.SetResult(kernel);
        launched.Wait();
        CollectionAssert.AreEqual((int[])[7, 8, 9, 10], buffer.GetAsArray1D());
    }

    [TestMethod]
    public void Create_LoadingFailed_FirstLaunchThrowsWhy()
    {
        var launch = DeferredLauncher<Launcher>.Create(Task.FromException<Kernel>(new NotSupportedException("no such instruction")));
        var error = Assert.ThrowsExactly<NotSupportedException>(() => launch(null!, default, default, 0, default));
        Assert.AreEqual("no such instruction", error.Message);
    }

    private static void Body(ArrayView<int> output, long value, Index2D pair)
    {
        int i = Grid.IdxX * Group.DimX + Group.IdxX;
        output[i] = i + pair.X + pair.Y + (value > 1L << 32 ? 0 : 100);
    }
}
