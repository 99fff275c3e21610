namespace IlgpuLlm.Loading;

/// <summary>How far the loading of a checkpoint is.</summary>
/// <param name="BytesDone">Bytes of tensors read.</param>
/// <param name="BytesTotal">Bytes of all tensors of the checkpoint.</param>
/// <param name="CurrentTensor">The tensor that is being read; empty at the end.</param>
public readonly record struct LoadProgress(long BytesDone, long BytesTotal, string CurrentTensor);
