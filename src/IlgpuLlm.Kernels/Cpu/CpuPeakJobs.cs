namespace IlgpuLlm.Kernels.Cpu;

/// <summary>Multiply-adds in registers, so many on each thread.</summary>
internal sealed class MultiplyAddPeakJob(CpuKernels kernels, int numRounds) : ParallelJob
{
    public override void Execute(int part, int numParts) => kernels.MultiplyAddPeak(numRounds);
}

/// <summary>Sums over memory, a piece on each thread.</summary>
internal sealed unsafe class ReadPeakJob(CpuKernels kernels, float* source, int length) : ParallelJob
{
    public override void Execute(int part, int numParts) => kernels.ReadPeak(source + (long)length / numParts * part, length / numParts);
}

/// <summary>a = b + s * c over memory, a piece on each thread.</summary>
internal sealed unsafe class TriadPeakJob(CpuKernels kernels, float* a, float* b, float* c, int length) : ParallelJob
{
    public override void Execute(int part, int numParts)
    {
        long first = (long)length / numParts * part;
        kernels.TriadPeak(a + first, b + first, c + first, length / numParts);
    }
}

/// <summary>Nothing: what is left is the time of the threads' meeting.</summary>
internal sealed class EmptyJob : ParallelJob
{
    public override void Execute(int part, int numParts)
    {
    }
}
