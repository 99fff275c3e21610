namespace IlgpuLlm.Kernels.Cpu;

/// <summary>Bytes from one place to another.</summary>
internal sealed unsafe class CopyJob : ParallelJob
{
    public byte* Source;
    public byte* Destination;
    public long ByteLength;

    public override void Execute(int part, int numParts)
    {
        long first = ByteLength / numParts * part, end = part == numParts - 1 ? ByteLength : ByteLength / numParts * (part + 1);
        Buffer.MemoryCopy(Source + first, Destination + first, end - first, end - first);
    }
}

/// <summary>Panels of a linear layer.</summary>
internal sealed unsafe class LinearJob : ParallelJob, IDisposable
{
    private readonly CpuKernels _kernels;
    private readonly CpuKernels _forBytes;
    private readonly int _scratchLength;
    private readonly NativeBlock _scratch;

    public LinearJob(CpuKernels kernels, CpuKernels forBytes, int numThreads)
    {
        (_kernels, _forBytes) = (kernels, forBytes);
        _scratchLength = Math.Max(kernels.LinearScratchLength, forBytes.LinearScratchLength);
        _scratch = new NativeBlock((long)numThreads * _scratchLength * sizeof(float));
    }

    public CpuPanelWeight Weight = null!;
    public float* Input;
    public float* Output;
    public int NumRows;
    public bool Accumulate;

    public override void Execute(int part, int numParts)
    {
        (int first, int end) = Share(Weight.Layout.NumPanels, part, numParts);
        if (first == end)
            return;
        float* own = (float*)_scratch.Pointer + (long)part * _scratchLength;
        if (Weight is CpuDotLinearWeight dots)
            (dots.Dots.Bits == 8 ? _forBytes : _kernels).Linear(dots, Input, Output, NumRows, Accumulate, first, end, own);
        else
            _kernels.Linear((CpuBlockedWeight)Weight, Input, Output, NumRows, Accumulate, first, end, own);
    }

    public void Dispose() => _scratch.Dispose();
}

/// <summary>Rows of an embedding table.</summary>
internal sealed unsafe class EmbeddingJob : ParallelJob
{
    public CpuLinearWeight Table = null!;
    public int* TokenIds;
    public float* Hidden;
    public int NumTokens;

    public override void Execute(int part, int numParts)
    {
        (int first, int end) = Share(NumTokens, part, numParts);
        for (int t = first; t < end; t++)
        {
            if ((uint)TokenIds[t] >= (uint)Table.OutFeatures)
                throw new ArgumentException($"token id {TokenIds[t]} lies outside a table of {Table.OutFeatures} rows");
            Table.CopyRow(TokenIds[t], Hidden + (long)t * Table.InFeatures);
        }
    }
}

/// <summary>Rows of RmsNorm.</summary>
internal sealed unsafe class RmsNormJob(CpuKernels kernels) : ParallelJob
{
    public float* X;
    public float* Weight;
    public float* Output;
    public int NumRows;
    public int Width;
    public float Epsilon;

    public override void Execute(int part, int numParts)
    {
        (int first, int end) = Share(NumRows, part, numParts);
        for (int r = first; r < end; r++)
        {
            long offset = (long)r * Width;
            kernels.RmsNorm(X + offset, Weight, Output + offset, Width, Epsilon);
        }
    }
}

/// <summary>Rows of SiluMul.</summary>
internal sealed unsafe class SiluMulJob(CpuKernels kernels) : ParallelJob
{
    public float* GateUp;
    public float* Output;
    public int NumRows;
    public int Width;

    public override void Execute(int part, int numParts)
    {
        (int first, int end) = Share(NumRows, part, numParts);
        for (int r = first; r < end; r++)
            kernels.SiluMul(GateUp + (long)r * 2 * Width, GateUp + ((long)r * 2 + 1) * Width, Output + (long)r * Width, Width);
    }
}
