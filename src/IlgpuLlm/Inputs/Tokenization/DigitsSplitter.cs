using System.Globalization;
using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Cuts numbers from the rest: each digit by itself, or runs of them.</summary>
internal sealed record DigitsSplitter(bool Individual) : ITextSplitter
{
    /// <inheritdoc/>
    public void Split(string text, int start, int end, List<(int Start, int End)> words)
    {
        bool wasDigit = false;
        int position = start;
        foreach (Rune rune in text.AsSpan(start, end - start).EnumerateRunes())
        {
            bool isDigit = Rune.GetUnicodeCategory(rune)
                is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber;
            if (position > start && (isDigit != wasDigit || (isDigit && Individual)))
            {
                words.Add((start, position));
                start = position;
            }
            wasDigit = isDigit;
            position += rune.Utf16SequenceLength;
        }
        if (start < end)
            words.Add((start, end));
    }
}
