namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>What a piece of a SentencePiece model is; the numbers are those of its file format.</summary>
internal enum SentencePieceType
{
    /// <summary>Ordinary text.</summary>
    Normal = 1,

    /// <summary>Stands for text that no piece covers.</summary>
    Unknown = 2,

    /// <summary>Steers the model (BOS, EOS); never found in text.</summary>
    Control = 3,

    /// <summary>Always one token wherever its text stands.</summary>
    UserDefined = 4,

    /// <summary>Merges may pass through it, but it is never given out.</summary>
    Unused = 5,

    /// <summary>One byte, written <c>&lt;0x0A&gt;</c>.</summary>
    Byte = 6,
}
