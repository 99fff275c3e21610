using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Cuts out every match of a pattern; what lies between is a word too. .NET matches UTF-16 units, the patterns mean code points: a letter beyond
/// U+FFFF would not be \p{L}. So for matching, such a code point is replaced by one character of the same Unicode category.
/// </summary>
internal sealed class RegexSplitter : ITextSplitter
{
    /// <summary>The pattern of ByteLevel with use_regex, which is GPT-2's.</summary>
    public const string Gpt2Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    // No real pattern comes near: 1 MB takes well under a second. It ends a pattern that backtracks without end.
    private static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(10);

    private readonly Regex _regex;

    /// <summary>Compiles a pattern.</summary>
    /// <exception cref="ArgumentException">.NET cannot read it.</exception>
    public RegexSplitter(string pattern) => _regex = new Regex(pattern, RegexOptions.Compiled | RegexOptions.CultureInvariant, MatchTimeout);

    /// <inheritdoc/>
    /// <exception cref="InvalidRequestException">The pattern takes too long on this text.</exception>
    public void Split(string text, int start, int end, List<(int Start, int End)> words)
    {
        ReadOnlySpan<char> part = text.AsSpan(start, end - start);
        int[]? offsets = null;
        if (part.IndexOfAnyInRange('\uD800', '\uDFFF') >= 0)
            part = Project(part, out offsets);
        int previous = 0;
        try
        {
            foreach (ValueMatch match in _regex.EnumerateMatches(part))
            {
                Add(previous, match.Index);
                Add(match.Index, match.Index + match.Length);
                previous = match.Index + match.Length;
            }
        }
        catch (RegexMatchTimeoutException)
        {
            string pattern = JsonField.Show(_regex.ToString());
            throw new InvalidRequestException("prompt", $"the tokenizer's pattern {pattern} ran for over {MatchTimeout.TotalSeconds} s");
        }
        Add(previous, part.Length);

        void Add(int from, int to)
        {
            if (from < to)
                words.Add((start + (offsets is null ? from : offsets[from]), start + (offsets is null ? to : offsets[to])));
        }
    }

    // One character a code point, and where each stands in the text.
    private static char[] Project(ReadOnlySpan<char> text, out int[] offsets)
    {
        char[] projected = new char[text.Length];
        offsets = new int[text.Length + 1];
        int count = 0;
        int position = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            projected[count] = rune.IsBmp ? (char)rune.Value : Representative(Rune.GetUnicodeCategory(rune));
            offsets[count++] = position;
            position += rune.Utf16SequenceLength;
        }
        offsets[count] = position;
        return projected[..count];
    }

    private static char Representative(UnicodeCategory category) => category switch
    {
        UnicodeCategory.UppercaseLetter => '\u0531',
        UnicodeCategory.LowercaseLetter => '\u0561',
        UnicodeCategory.TitlecaseLetter => '\u01C5',
        UnicodeCategory.ModifierLetter => '\u02B0',
        UnicodeCategory.OtherLetter => '\u4E00',
        UnicodeCategory.NonSpacingMark => '\u0300',
        UnicodeCategory.SpacingCombiningMark => '\u0903',
        UnicodeCategory.EnclosingMark => '\u20DD',
        UnicodeCategory.DecimalDigitNumber => '\u0660',
        UnicodeCategory.LetterNumber => '\u16EE',
        UnicodeCategory.OtherNumber => '\u00BD',
        UnicodeCategory.OtherPunctuation => '\u05C0',
        UnicodeCategory.DashPunctuation => '\u2013',
        UnicodeCategory.MathSymbol => '\u2200',
        UnicodeCategory.CurrencySymbol => '\u20AC',
        UnicodeCategory.ModifierSymbol => '\u02C2',
        UnicodeCategory.OtherSymbol => '\u2600',
        UnicodeCategory.Format => '\u200B',
        UnicodeCategory.PrivateUse => '\uE000',
        _ => '\u0378', // not assigned
    };
}
