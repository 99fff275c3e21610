namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>What a SentencePiece BPE model (tokenizer.model) says; read by <see cref="SentencePieceModelReader"/>.</summary>
internal sealed record SentencePieceModel
{
    /// <summary>The file it was read from.</summary>
    public required string File { get; init; }

    /// <summary>The pieces; a piece's index is its id.</summary>
    public required IReadOnlyList<SentencePiece> Pieces { get; init; }

    /// <summary>The pieces and their ids.</summary>
    public required Vocabulary Vocabulary { get; init; }

    /// <summary>The id of the piece for unknown text.</summary>
    public required int UnknownId { get; init; }

    /// <summary>The id of the beginning-of-sequence piece, or null.</summary>
    public int? BosId { get; init; }

    /// <summary>The id of the end-of-sequence piece, or null.</summary>
    public int? EosId { get; init; }

    /// <summary>Unknown characters are spelled with byte pieces.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>What Decode writes for the unknown piece.</summary>
    public string UnknownSurface { get; init; } = " \u2047 ";

    /// <summary>A space is put before the text.</summary>
    public bool AddDummyPrefix { get; init; } = true;

    /// <summary>Spaces at both ends are dropped and runs of spaces become one.</summary>
    public bool RemoveExtraWhitespaces { get; init; } = true;

    /// <summary>Spaces are written as U+2581.</summary>
    public bool EscapeWhitespaces { get; init; } = true;

    /// <summary>The character replacements (nmt_nfkc and the like), or null for identity.</summary>
    public PrecompiledCharsMap? CharsMap { get; init; }
}
