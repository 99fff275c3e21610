namespace IlgpuLlm.Kernels.Cpu;

/// <summary>What the processor gave at its best to simple loops, over the backend's threads: the yardstick of its kernels.</summary>
/// <param name="Gigaflops">Multiplications and additions of independent fused multiply-adds in registers, in GFLOP/s.</param>
/// <param name="ReadGigabytesPerSecond">A sum over memory that no cache holds.</param>
/// <param name="TriadGigabytesPerSecond">a = b + s * c over such memory, bytes read and written.</param>
public readonly record struct CpuPeak(double Gigaflops, double ReadGigabytesPerSecond, double TriadGigabytesPerSecond);
