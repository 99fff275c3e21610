using System.Buffers;
using System.Globalization;
using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Finds added tokens in text as Hugging Face's tokenizers do: leftmost, the longest where several start, then their flags.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly IReadOnlyList<AddedToken> _tokens;
    private readonly StringTrie _trie = new();
    private readonly SearchValues<char> _firstChars;

    /// <summary>Makes a matcher.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="pattern">What is looked for in place of a token's content.</param>
    public AddedTokenMatcher(IReadOnlyList<AddedToken> tokens, Func<string, string> pattern)
    {
        _tokens = tokens;
        for (int i = 0; i < tokens.Count; i++)
        {
            string text = pattern(tokens[i].Content);
            if (text.Length > 0)
                _trie.Add(text, i);
        }
        _firstChars = SearchValues.Create([.. _trie.FirstChars]);
    }

    /// <summary>Cuts a text into sections: plain text, or an added token. No section is empty.</summary>
    /// <param name="text">The text.</param>
    /// <param name="parseSpecial">Whether special tokens are looked for; the others always are.</param>
    public List<Section> Split(string text, bool parseSpecial)
    {
        List<Section> sections = [];
        int done = 0;
        for (int position = 0; position < text.Length;)
        {
            int skipped = text.AsSpan(position).IndexOfAny(_firstChars);
            if (skipped < 0)
                break;
            position += skipped;
            int length = _trie.LongestMatch(text.AsSpan(position), out int index);
            if (length == 0)
            {
                position++;
                continue;
            }
            AddedToken token = _tokens[index];
            int start = position;
            int end = position + length;
            position = end;
            if ((token.Special && !parseSpecial) || (token.SingleWord && TouchesWord(text, start, end)))
                continue;
            if (token.LStrip)
                start = done + text.AsSpan(done, start - done).TrimEnd().Length;
            if (token.RStrip)
                end = text.Length - text.AsSpan(end).TrimStart().Length;
            if (start > done)
                sections.Add(new Section(done, start, null));
            sections.Add(new Section(start, end, token));
            done = position = end;
        }
        if (done < text.Length)
            sections.Add(new Section(done, text.Length, null));
        return sections;
    }

    private static bool TouchesWord(string text, int start, int end)
    {
        if (start > 0)
        {
            Rune.DecodeLastFromUtf16(text.AsSpan(0, start), out Rune before, out _);
            if (IsWord(before))
                return true;
        }
        return Rune.DecodeFromUtf16(text.AsSpan(end), out Rune after, out _) == OperationStatus.Done && IsWord(after);
    }

    // Unicode's \w: letters, marks, decimal and letter numbers, connectors, and the two joiners.
    private static bool IsWord(Rune rune) => Rune.IsLetter(rune) || rune.Value is 0x200C or 0x200D || Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark
        or UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation;

    /// <summary>A section [Start, End) of the text: an added token, or plain text where Token is null.</summary>
    internal readonly record struct Section(int Start, int End, AddedToken? Token);
}
