using IlgpuLlm.Kernels.Cpu;

namespace IlgpuLlm.Kernels.Tests.Cpu;

[TestClass]
public sealed class CpuThreadPoolTests
{
    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(7)]
    public void Run_ManyJobs_EachPartOnce(int numThreads)
    {
        using var pool = new CpuThreadPool(numThreads);
        var job = new CountingJob(numThreads);
        for (int i = 0; i < 2000; i++)
        {
            pool.Run(job);
            // Now and then long enough for the workers to park.
            if (i % 500 == 0)
                Thread.Sleep(2);
        }
        Assert.IsTrue(job.Counts.All(count => count == 2000), string.Join(' ', job.Counts));
    }

    [TestMethod]
    public void Run_SlowParts_CallerParksAndReturnsAfterTheLast()
    {
        using var pool = new CpuThreadPool(3);
        var job = new CountingJob(3) { Delay = part => Thread.Sleep(part * 5) };
        for (int i = 1; i <= 5; i++)
        {
            pool.Run(job);
            Assert.IsTrue(job.Counts.All(count => count == i));
        }
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(2)]
    public void Run_PartThrows_CallerGetsItAfterAllParts(int failing)
    {
        using var pool = new CpuThreadPool(3);
        var job = new CountingJob(3) { Delay = part => ThrowIf(part == failing) };
        var error = Assert.ThrowsExactly<InvalidDataException>(() => pool.Run(job));
        Assert.AreEqual("part failed", error.Message);
        Assert.IsTrue(job.Counts.All(count => count == 1));
        job.Delay = null;
        pool.Run(job);
        Assert.IsTrue(job.Counts.All(count => count == 2));
    }

    [TestMethod]
    public void Run_FromSeveralThreads_OneAfterTheOther()
    {
        using var pool = new CpuThreadPool(3);
        CountingJob[] jobs = [.. Enumerable.Range(0, 4).Select(_ => new CountingJob(3))];
        Parallel.ForEach(jobs, job =>
        {
            for (int i = 0; i < 200; i++)
                pool.Run(job);
        });
        Assert.IsTrue(jobs.All(job => job.Counts.All(count => count == 200)));
    }

    [TestMethod]
    public void Dispose_Twice_EndsThreadsAndRefusesJobs()
    {
        var pool = new CpuThreadPool(4);
        pool.Run(new CountingJob(4));
        pool.Dispose();
        pool.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => pool.Run(new CountingJob(4)));
    }

    private static void ThrowIf(bool condition)
    {
        if (condition)
            throw new InvalidDataException("part failed");
    }

    private sealed class CountingJob(int numParts) : ParallelJob
    {
        public readonly int[] Counts = new int[numParts];

        public Action<int>? Delay;

        public override void Execute(int part, int numParts)
        {
            Interlocked.Increment(ref Counts[part]);
            Delay?.Invoke(part);
        }
    }
}
