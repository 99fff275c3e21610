namespace IlgpuLlm.Kernels.Cpu;

/// <summary>Work that <see cref="CpuThreadPool"/> splits. Made once; its fields are set before each run, so that a run allocates nothing.</summary>
internal abstract class ParallelJob
{
    /// <summary>Does part <paramref name="part"/> of <paramref name="numParts"/>. Parts run at the same time and write to disjoint memory.</summary>
    public abstract void Execute(int part, int numParts);

    /// <summary>The share of <paramref name="part"/> in <paramref name="count"/> things: contiguous, sizes differing by at most one.</summary>
    protected static (int First, int End) Share(int count, int part, int numParts)
        => ((int)((long)count * part / numParts), (int)((long)count * (part + 1) / numParts));
}
