using System.Collections.Concurrent;
using System.Diagnostics;
using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Benchmarking;

/// <summary>What a device's memory gives: the rate of a large copy, bytes read and bytes written. The yardstick of everything that is bound by memory.</summary>
public static class CopyBandwidth
{
    private const long MaxBytes = 2L << 30, MaxHostBytes = 256L << 20, MinBytes = 1 << 20;
    private const int CopiesPerSeries = 10, NumSeries = 5;

    private static readonly ConcurrentDictionary<(string Device, int NumThreads), double> Measured = new();

    /// <summary>Measures a device, once a process.</summary>
    /// <param name="options">The device and its threads.</param>
    /// <returns>GB/s, read and written together: the best average of some series.</returns>
    /// <exception cref="InvalidOptionException">There is no such device.</exception>
    public static double Measure(EngineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return Measured.GetOrAdd((options.Device, options.NumThreads), _ =>
        {
            using var backend = BackendFactory.Create(options.Device, options.NumThreads);
            return Measure(backend);
        });
    }

    private static double Measure(Backend backend)
    {
        backend.FinishOpening();
        // 2 GiB are far beyond every cache; at most a quarter of what is free, as there are two buffers.
        long bytes = Math.Clamp(backend.QueryMemory().FreeBytes / 4, MinBytes, backend.IsHostMemory ? MaxHostBytes : MaxBytes);
        using var source = backend.Allocate(ElementType.I32, bytes / sizeof(int));
        using var destination = backend.Allocate(ElementType.I32, bytes / sizeof(int));
        backend.Copy(destination, source); // pages of host memory are there once they have been written
        double best = double.PositiveInfinity;
        for (int series = 0; series <= NumSeries; series++)
        {
            backend.Synchronize();
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < CopiesPerSeries; i++)
                backend.Copy(source, destination);
            backend.Synchronize();
            if (series > 0) // the first one warms up
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds / CopiesPerSeries);
        }
        return 2 * source.ByteLength / best / 1e9;
    }
}
