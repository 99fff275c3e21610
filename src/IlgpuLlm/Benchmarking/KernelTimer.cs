using System.Diagnostics;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Benchmarking;

/// <summary>Times one operation: the best average of some series, each recorded as one graph where the device has graphs.</summary>
internal sealed class KernelTimer(Backend backend)
{
    private const int LeastSeriesLength = 20, NumSeries = 5, MaxCopies = 256, MaxHostCopies = 20;
    private const double LeastSeconds = 5e-3; // of a measurement, so that waiting for its end does not count
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
}
