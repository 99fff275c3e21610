using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>The "BPE" model of a tokenizer.json: a word's characters, merged by rank.</summary>
internal sealed class BpeModel
{
    /// <summary>The tokens of the model.</summary>
    public required Vocabulary Vocabulary { get; init; }

    /// <summary>The merges.</summary>
    public required BpeMerges Merges { get; init; }

    /// <summary>The token for characters that are not in the vocabulary, or null: they vanish.</summary>
    public int? UnknownId { get; init; }

    /// <summary>Unknown characters in a row are one unknown token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>A word that is a token as a whole is taken as it is.</summary>
    public bool IgnoreMerges { get; init; }

    /// <summary>The tokens of the 256 bytes for unknown characters (null where there is none), or null without byte fallback.</summary>
    public int?[]? ByteIds { get; init; }

    /// <summary>Encodes a word.</summary>
    /// <param name="word">Its characters.</param>
    /// <param name="offset">What is added to the bounds of its tokens.</param>
    /// <param name="workspace">Reused from word to word.</param>
    /// <param name="output">Where the tokens go.</param>
    public void Encode(ReadOnlySpan<char> word, int offset, BpeWorkspace workspace, List<TokenSpan> output)
    {
        if (IgnoreMerges && Vocabulary.TryGetId(word, out int whole))
        {
            output.Add(new TokenSpan(whole, offset, offset + word.Length));
            return;
        }
        workspace.Clear();
        int unknownStart = -1;
        for (int start = 0, end; start < word.Length; start = end)
        {
            end = start + (char.IsHighSurrogate(word[start]) ? 2 : 1);
            ReadOnlySpan<char> character = word[start..end];
            bool isKnown = Vocabulary.TryGetId(character, out int id);
            bool isSpelled = !isKnown && CanSpell(character);
            if (isKnown || isSpelled || !FuseUnknown)
                AddUnknown(ref unknownStart, start, workspace);
            if (isKnown)
                workspace.Add(id, start, end, character);
            else if (isSpelled)
                Spell(character, start, workspace);
            else if (unknownStart < 0)
                unknownStart = start;
        }
        AddUnknown(ref unknownStart, word.Length, workspace);
        workspace.Merge(Merges);
        ReadOnlySpan<BpeSymbol> symbols = workspace.Symbols;
        for (int i = 0; i < symbols.Length; i = symbols[i].Next)
            output.Add(new TokenSpan(symbols[i].Id, offset + symbols[i].Start, offset + symbols[i].End));
    }

    private void AddUnknown(ref int start, int end, BpeWorkspace workspace)
    {
        if (start >= 0 && UnknownId is { } id)
            workspace.Add(id, start, end, Vocabulary.Token(id));
        start = -1;
    }

    private bool CanSpell(ReadOnlySpan<char> character)
    {
        if (ByteIds is null)
            return false;
        Span<byte> utf8 = stackalloc byte[4];
        foreach (byte value in utf8[..Encoding.UTF8.GetBytes(character, utf8)])
        {
            if (ByteIds[value] is null)
                return false;
        }
        return true;
    }

    private void Spell(ReadOnlySpan<char> character, int start, BpeWorkspace workspace)
    {
        Span<byte> utf8 = stackalloc byte[4];
        foreach (byte value in utf8[..Encoding.UTF8.GetBytes(character, utf8)])
            workspace.Add(ByteIds![value]!.Value, start, start + character.Length, ByteToken.Name(value));
    }
}
