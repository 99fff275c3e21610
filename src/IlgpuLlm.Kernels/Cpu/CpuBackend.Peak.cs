using System.Diagnostics;

namespace IlgpuLlm.Kernels.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>Measures what the machine gives to simple loops, in a second or less: the best of some runs.</summary>
    public CpuPeak MeasurePeak()
    {
        const int NumRounds = 1 << 19, NumRuns = 10, NumJobs = 1000;
        // 128 MiB are beyond the caches of most machines; at most a quarter of what is free, as there are three arrays.
        int length = (int)(Math.Min(128L << 20, QueryMemory().FreeBytes / 4) / sizeof(float));
        using NativeBlock a = Array(length), b = Array(length), c = Array(length);
        float* first = (float*)a.Pointer, second = (float*)b.Pointer, third = (float*)c.Pointer;
        double Seconds(ParallelJob job, int numJobs = 1)
        {
            double best = double.PositiveInfinity;
            for (int i = 0; i <= NumRuns; i++)
            {
                long start = Stopwatch.GetTimestamp();
                for (int j = 0; j < numJobs; j++)
                    _pool.Run(job);
                best = i == 0 ? best : Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds); // the first run warms up
            }
            return best;
        }
        return new CpuPeak(
            (double)NumRounds * _kernels.MultiplyAddPeakFlops * NumThreads / Seconds(new MultiplyAddPeakJob(_kernels, NumRounds)) / 1e9,
            (double)length * sizeof(float) / Seconds(new ReadPeakJob(_kernels, first, length)) / 1e9,
            3.0 * length * sizeof(float) / Seconds(new TriadPeakJob(_kernels, first, second, third, length)) / 1e9,
            Seconds(new EmptyJob(), NumJobs) / NumJobs * 1e6);

        static NativeBlock Array(int length)
        {
            var block = new NativeBlock((long)length * sizeof(float), isDense: true);
            new Span<float>((float*)block.Pointer, length).Fill(1); // pages are there once they have been written
            return block;
        }
    }
}
