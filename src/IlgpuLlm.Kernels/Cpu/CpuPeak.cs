namespace IlgpuLlm.Kernels.Cpu;

/// <summary>What the processor gave at its best to simple loops, over the backend's threads: the yardstick of its kernels.</summary>
/// <param name="Gigaflops">Multiplications and additions of independent fused multiply-adds in registers, in GFLOP/s.</param>
/// <param name="ReadGigabytesPerSecond">A sum over memory that no cache holds.</param>
/// <param name="TriadGigabytesPerSecond">a = b + s * c over such memory, bytes read and written.</param>
/// <param name="JobMicroseconds">What starting a job on all threads and waiting for them takes, where the next follows at once and there is nothing to do.</param>
public readonly record struct CpuPeak(double Gigaflops, double ReadGigabytesPerSecond, double TriadGigabytesPerSecond, double JobMicroseconds);
