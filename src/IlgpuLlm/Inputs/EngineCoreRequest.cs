namespace IlgpuLlm.Inputs;

/// <summary>A request as it enters the engine's core: checked, tokens only.</summary>
/// <param name="RequestId">The id of this one sequence.</param>
/// <param name="PromptTokenIds">At least one token, each below the vocabulary's size.</param>
/// <param name="Sampling">Valid parameters.</param>
/// <param name="MaxTokens">The most tokens to generate, cut to the model's context.</param>
/// <param name="Seed">The sequence's seed.</param>
internal sealed record EngineCoreRequest(string RequestId, int[] PromptTokenIds, SamplingParams Sampling, int MaxTokens, ulong Seed);
