namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>One symbol of a word while byte-pair merges run over it; the symbols form a linked list over an array.</summary>
internal struct BpeSymbol
{
    /// <summary>The token's id, or <see cref="Unknown"/>.</summary>
    public int Id;

    /// <summary>The first character that the symbol covers.</summary>
    public int Start;

    /// <summary>The character after the last one.</summary>
    public int End;

    /// <summary>The index of the symbol before this one, or -1.</summary>
    public int Previous;

    /// <summary>The index of the symbol after this one (the number of symbols for the last), or -1 once it is merged into another.</summary>
    public int Next;

    /// <summary>The first character of the symbol's token; for a symbol that is none, of its text.</summary>
    public char First;

    /// <summary>The last character of the symbol's token; for a symbol that is none, of its text.</summary>
    public char Last;

    /// <summary>It takes part in no merge (a user-defined symbol of SentencePiece).</summary>
    public bool Frozen;

    /// <summary>The id of a symbol that is no token.</summary>
    public const int Unknown = -1;
}
