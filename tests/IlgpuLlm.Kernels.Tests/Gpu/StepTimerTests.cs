using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

[TestClass]
public sealed class StepTimerTests
{
    [TestMethod]
    public void CreateStepTimer_CpuAccelerator_IsNull()
    {
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu();
        Assert.IsNull(backend.CreateStepTimer());
    }

    [TestMethod]
    public void Take_RunsWithAndWithoutPauses_TellsWhatTheDeviceWaitedFor()
    {
        const int Rows = 2048, Width = 4096, PauseMs = 40;
        using var cuda = TestDevice.RentCuda();
        using DeviceStepTimer timer = cuda.Backend.CreateStepTimer()!;
        using DeviceBuffer x = cuda.Backend.Upload(new float[Rows * Width]), weight = cuda.Backend.Upload(new float[Width]);
        using DeviceBuffer y = cuda.Backend.Allocate(ElementType.F32, Rows * Width);
        Run(1);
        cuda.Backend.Synchronize(); // the kernel is compiled now
        Assert.IsEmpty(timer.Take());

        Run(2);
        Run(3); // queued behind it
        cuda.Backend.Synchronize();
        Thread.Sleep(PauseMs);
        Run(4);
        timer.Interrupt();
        Run(5);
        Run(6);
        IReadOnlyList<StepTime> times = timer.Take();
        CollectionAssert.AreEqual(new[] { 3, 4, 6 }, times.Select(time => time.NumSeqs).ToArray());
        foreach (StepTime time in times)
            Assert.IsTrue(time.IdleMs >= 0 && time.StepMs > time.IdleMs, time.ToString());
        Assert.IsGreaterThan(PauseMs * 0.9, times[1].IdleMs, "the pause");
        Assert.IsLessThan(PauseMs / 4.0, times[0].IdleMs, "queued behind another");
        Assert.IsEmpty(timer.Take());

        void Run(int numSeqs)
        {
            timer.Begin(numSeqs);
            for (int i = 0; i < 20; i++)
                cuda.Backend.RmsNorm(x, weight, y, Rows, 1e-5f);
            timer.End();
        }
    }
}
