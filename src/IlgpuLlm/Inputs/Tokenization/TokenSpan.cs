namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>A token and the characters of the normalized text that it covers: [Start, End).</summary>
internal readonly record struct TokenSpan(int Id, int Start, int End);
