namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>One entry of a SentencePiece model; its id is its place in the list.</summary>
internal readonly record struct SentencePiece(string Text, float Score, SentencePieceType Type);
