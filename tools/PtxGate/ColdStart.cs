using System.Diagnostics;
using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.PtxGate;

/// <summary>How long a program waits for its kernels' PTX: compiled on one thread, on all, and found on disk.</summary>
internal static class ColdStart
{
    public static void Measure(GpuKernel[] kernels)
    {
        string folder = Directory.CreateTempSubdirectory("ptx-cache-").FullName;
        try
        {
            var cache = new PtxCache(folder);
            using var all = NewCompiler();
            Report($"compiled and stored, {Environment.ProcessorCount} threads", () => Parallel.ForEach(kernels, kernel => PtxKernels.Get(all, cache, kernel)));
            Report("found on disk, 1 thread", () => Array.ForEach(kernels, kernel => _ = cache.Find(kernel, all.Target) ?? throw new InvalidOperationException(kernel.Name)));
            using var one = NewCompiler();
            Report("compiled again, 1 thread, with ILGPU's own code compiled by now", () => Array.ForEach(kernels, kernel => one.Compile(kernel)));
            Console.WriteLine($"{kernels.Length} kernels, {new DirectoryInfo(folder).EnumerateFiles().Sum(file => file.Length):N0} bytes on disk");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static PtxCompiler NewCompiler() => new(CudaArchitecture.SM_90, CudaInstructionSet.ISA_84);

    private static void Report(string what, Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        Console.WriteLine($"{what}: {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms");
    }
}
