namespace IlgpuLlm.Scheduling;

/// <summary>The scheduler's limits.</summary>
/// <param name="MaxNumBatchedTokens">The most tokens in a step.</param>
/// <param name="MaxNumSeqs">The most requests in a step.</param>
/// <param name="MaxModelLen">The most tokens in a sequence.</param>
internal sealed record SchedulerConfig(int MaxNumBatchedTokens, int MaxNumSeqs, int MaxModelLen);
