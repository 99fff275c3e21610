using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Tests.Loading;

/// <summary>Loading needs the packed weights and no second copy of them: neither on the managed heap nor in other memory of the process.</summary>
[TestClass]
[DoNotParallelize]
public sealed class LoadingMemoryTests
{
    private const int Rows = 16384;
    private const int Width = 1024;
    private const long PackedBytes = (long)Rows * Width * sizeof(float); // 64 MB

    [TestMethod]
    public void LoadRows_LargeTensor_AllocatesNextToNothingOnTheManagedHeap()
    {
        using var temp = LargeCheckpoint();
        using var checkpoint = Checkpoint.Open(temp.Path);
        var weight = new FakeLinearWeight(Rows, Width);
        long before = GC.GetTotalAllocatedBytes(precise: true);
        checkpoint.LoadRows("w", weight, 0, Rows);
        Assert.IsLessThan(1 << 20, GC.GetTotalAllocatedBytes(precise: true) - before);
    }

    [TestMethod]
    public void LoadRows_LargeTensor_PeaksAtThePackedWeights()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("skipped: /proc/self/status is Linux's");
        using var temp = LargeCheckpoint();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        long before = AnonymousBytes();
        var peak = new PeakMemory();
        using var checkpoint = Checkpoint.Open(temp.Path, peak);
        checkpoint.LoadRows("w", new FakeLinearWeight(Rows, Width), 0, Rows);
        double ratio = (double)(peak.Bytes - before) / PackedBytes;
        Assert.IsLessThanOrEqualTo(1.15, ratio);
        Assert.IsGreaterThan(0.9, ratio, "the weights themselves must have been counted");
    }

    /// <summary>A checkpoint of one tensor; a sparse file, so that making it takes no memory.</summary>
    private static TempFolder LargeCheckpoint()
    {
        byte[] header = Encoding.UTF8.GetBytes($$"""{"w":{"dtype":"F32","shape":[{{Rows}},{{Width}}],"data_offsets":[0,{{PackedBytes}}]} }""");
        byte[] prefix = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, header.Length);
        var temp = new TempFolder();
        using var file = File.Create(Path.Combine(temp.Path, "model.safetensors"));
        file.Write(prefix);
        file.Write(header);
        file.SetLength(prefix.Length + header.Length + PackedBytes);
        return temp;
    }

    /// <summary>The process's resident memory that is not file cache.</summary>
    private static long AnonymousBytes()
    {
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith("RssAnon:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
    }

    private sealed class PeakMemory : IProgress<LoadProgress>
    {
        public long Bytes { get; private set; }

        public void Report(LoadProgress value) => Bytes = Math.Max(Bytes, AnonymousBytes());
    }
}
