namespace IlgpuLlm.Loading;

/// <summary>How far the start of an engine is: first the checkpoint is loaded, then decode steps are recorded as device graphs where there are any.</summary>
/// <param name="BytesDone">Bytes of tensors read.</param>
/// <param name="BytesTotal">Bytes of all tensors of the checkpoint.</param>
/// <param name="CurrentTensor">The tensor that is being read; empty at the end.</param>
public readonly record struct LoadProgress(long BytesDone, long BytesTotal, string CurrentTensor)
{
    private const double GraphsShare = 0.1; // of the time, about

    /// <summary>Graphs recorded.</summary>
    public int GraphsDone { get; init; }

    /// <summary>Graphs to record; 0 while weights are loaded.</summary>
    public int GraphsTotal { get; init; }

    /// <summary>How much of all that is done, about: 0 to 1.</summary>
    public double Share => GraphsTotal == 0
        ? (1 - GraphsShare) * BytesDone / Math.Max(1, BytesTotal)
        : 1 - GraphsShare + GraphsShare * GraphsDone / GraphsTotal;
}
