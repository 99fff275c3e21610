namespace IlgpuLlm.Inputs;

/// <summary>A checked request: its n sequences, and what its outputs repeat of it.</summary>
internal sealed record ProcessedRequest(string RequestId, string? Prompt, int[] PromptTokenIds, SamplingParams Sampling, EngineCoreRequest[] Sequences);
