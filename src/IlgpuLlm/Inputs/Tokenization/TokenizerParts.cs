namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>What a tokenizer file gives, before tokenizer_config.json is heard.</summary>
/// <param name="File">The file.</param>
/// <param name="Tokenizer">The tokenizer of plain text.</param>
/// <param name="AddedTokens">The tokens found before it.</param>
/// <param name="BosId">The file's BOS, or null.</param>
/// <param name="EosId">The file's EOS, or null.</param>
/// <param name="Template">What the file puts around a text, or null where it does not say.</param>
internal sealed record TokenizerParts(
    string File, SectionTokenizer Tokenizer, IReadOnlyList<AddedToken> AddedTokens, int? BosId, int? EosId, SequenceTemplate? Template);
