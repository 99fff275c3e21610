using System.Globalization;
using System.Runtime.CompilerServices;
using IlgpuLlm.Kernels.Cpu;

namespace IlgpuLlm.Kernels.Tests.Cpu;

[TestClass]
[DoNotParallelize] // it looks at the memory of the whole process
public sealed class NativeBlockTests
{
    private const int ByteLength = 256 << 20;

    [TestMethod]
    public void Finalizer_BlockNobodyDisposed_GivesItsMemoryBack()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("skipped: reads /proc");
        long before = AnonymousBytes();
        Assert.IsTrue(AllocateTouchAndForget() - before > ByteLength / 2, "the block was resident");
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.IsTrue(AnonymousBytes() - before < ByteLength / 2, "the block is still resident");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe long AllocateTouchAndForget()
    {
        var block = new NativeBlock(ByteLength);
        new Span<byte>(block.Pointer, ByteLength).Fill(1);
        long resident = AnonymousBytes();
        GC.KeepAlive(block);
        return resident;
    }

    private static long AnonymousBytes()
    {
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssAnon:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan("RssAnon:".Length, line.Length - "RssAnon:".Length - "kB".Length).Trim(), CultureInfo.InvariantCulture) * 1024;
    }
}
