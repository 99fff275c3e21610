using System.Diagnostics;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Benchmarking;

/// <summary>
/// Times one operation: the best average of some series, each recorded as one graph where the device has graphs. On a host, which others use too, series are
/// many and short, so that some of them are not interrupted.
/// </summary>
internal sealed class KernelTimer(Backend backend)
{
    private const int LeastSeriesLength = 20, NumSeries = 5, MaxCopies = 256, MaxHostCopies = 20;
    private const double LeastSeconds = 5e-3; // of a measurement, so that waiting for its end does not count
    private const double LeastHostSeconds = 1e-4, HostSeconds = 0.4; // of a series, so that the clock's grain does not count; of all series
    private const long RotatedBytes = 2L << 30, RotatedHostBytes = 256L << 20;

    /// <summary>How many copies of what an operation reads to take turns with, so that no cache serves it.</summary>
    public int NumCopies(long byteLength) => backend.IsHostMemory
        ? (int)Math.Clamp(RotatedHostBytes / byteLength, 1, MaxHostCopies)
        : (int)Math.Clamp((RotatedBytes + byteLength - 1) / byteLength, 1, MaxCopies);

    /// <summary>Seconds of one operation.</summary>
    /// <param name="numCopies">Copies that it takes turns with.</param>
    /// <param name="operation">Queues it; its argument says which copy is next.</param>
    public double Time(int numCopies, Action<int> operation)
    {
        if (backend.IsHostMemory && !backend.SupportsGraphs)
            return TimeOnHost(numCopies, operation);
        int length = (LeastSeriesLength + numCopies - 1) / numCopies * numCopies;
        void Series()
        {
            for (int i = 0; i < length; i++)
                operation(i % numCopies);
        }
        Series();
        backend.Synchronize();
        using var graph = backend.SupportsGraphs ? backend.CaptureGraph(Series) : null;
        double Measure(int repetitions)
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < repetitions; i++)
            {
                if (graph is null)
                    Series();
                else
                    graph.Launch();
            }
            backend.Synchronize();
            return Stopwatch.GetElapsedTime(start).TotalSeconds / repetitions / length;
        }
        Measure(1); // a graph's first launch is slower
        int numRepetitions = (int)Math.Clamp(LeastSeconds / (Measure(1) * length), 1, 50);
        return Enumerable.Range(0, NumSeries).Min(_ => Measure(numRepetitions));
    }

    private static double TimeOnHost(int numCopies, Action<int> operation)
    {
        int next = 0;
        double Series(int length)
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < length; i++)
                operation(next++ % numCopies);
            return Stopwatch.GetElapsedTime(start).TotalSeconds / length;
        }
        Series(LeastSeriesLength);
        int length = (int)Math.Clamp(Math.Ceiling(LeastHostSeconds / Series(LeastSeriesLength)), 1, 10_000);
        double best = double.PositiveInfinity;
        long begin = Stopwatch.GetTimestamp();
        for (int series = 0; series < NumSeries || Stopwatch.GetElapsedTime(begin).TotalSeconds < HostSeconds; series++)
            best = Math.Min(best, Series(length));
        return best;
    }
}
