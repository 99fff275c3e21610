using System.Diagnostics;

namespace IlgpuLlm.Kernels.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <summary>Measures what the machine gives to simple loops, in a second or less: the best of some runs.</summary>
    public CpuPeak MeasurePeak()
    {
        const int NumRounds = 1 << 19, NumRuns = 10;
        // 128 MiB are beyond the caches of most machines; at most a quarter of what is free, as there are three arrays.
        int length = (int)(Math.Min(128L << 20, QueryMemory().FreeBytes / 4) / sizeof(float));
        using NativeBlock a = Array(length), b = Array(length), c = Array(length);
        float* first = (float*)a.Pointer, second = (float*)b.Pointer, third = (float*)c.Pointer;
        double Rate(ParallelJob job, double work)
        {
            _pool.Run(job);
            double best = double.PositiveInfinity;
            for (int i = 0; i < NumRuns; i++)
            {
                long start = Stopwatch.GetTimestamp();
                _pool.Run(job);
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
            return work / best / 1e9;
        }
        return new CpuPeak(
            Rate(new MultiplyAddPeakJob(_kernels, NumRounds), (double)NumRounds * _kernels.MultiplyAddPeakFlops * NumThreads),
            Rate(new ReadPeakJob(_kernels, first, length), (double)length * sizeof(float)),
            Rate(new TriadPeakJob(_kernels, first, second, third, length), 3.0 * length * sizeof(float)));

        static NativeBlock Array(int length)
        {
            var block = new NativeBlock((long)length * sizeof(float), isDense: true);
            new Span<float>((float*)block.Pointer, length).Fill(1); // pages are there once they have been written
            return block;
        }
    }
}
