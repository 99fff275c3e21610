using System.Buffers;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// What IlgpuLlm's tokenizers have in common: Microsoft.ML.Tokenizers' surface over two operations, encoding a section of text that holds no
/// added tokens, and decoding as a stream. <see cref="TextTokenizer"/> adds the added tokens, BOS and EOS.
/// </summary>
internal abstract class SectionTokenizer : Tokenizer
{
    /// <summary>The model's own tokens, without those added.</summary>
    public abstract Vocabulary Vocabulary { get; }

    /// <summary>Normalizes a section; <see cref="EncodeSection"/> takes the result, in one piece or cut at added tokens.</summary>
    public virtual string NormalizeSection(string text) => text;

    /// <summary>Encodes a section.</summary>
    /// <param name="text">Well-formed UTF-16 from <see cref="NormalizeSection"/>.</param>
    /// <param name="isFirst">Whether the section is at the very start of the prompt.</param>
    /// <param name="output">Where its tokens go.</param>
    /// <returns>The text that the tokens' bounds refer to.</returns>
    public abstract string EncodeSection(string text, bool isFirst, List<TokenSpan> output);

    /// <summary>Starts decoding.</summary>
    /// <param name="vocabulary">The tokens, those added included.</param>
    /// <param name="showControls">Whether control tokens appear as text.</param>
    /// <param name="eager">
    /// Whether a character goes out as soon as its bytes are complete; otherwise a run of byte tokens is judged as a whole where the format does
    /// so.
    /// </param>
    public abstract TokenTextStream CreateTextStream(Vocabulary vocabulary, bool showControls, bool eager);

    /// <summary>Text that is not well-formed UTF-16 cannot be told in UTF-8: each lone surrogate becomes U+FFFD.</summary>
    public static string WellFormed(string text)
    {
        int index = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF');
        if (index < 0)
            return text;
        StringBuilder result = new(text.Length);
        result.Append(text.AsSpan(0, index));
        foreach (Rune rune in text.AsSpan(index).EnumerateRunes())
            result.Append(rune.ToString());
        return result.ToString();
    }

    /// <inheritdoc/>
    protected override EncodeResults<EncodedToken> EncodeToTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        List<TokenSpan> spans = Spans(text, textSpan, out string normalized);
        int count = Math.Min(spans.Count, settings.MaxTokenCount);
        List<EncodedToken> tokens = new(count);
        for (int i = 0; i < count; i++)
            tokens.Add(new EncodedToken(spans[i].Id, Vocabulary.Token(spans[i].Id) ?? "", new Range(spans[i].Start, spans[i].End)));
        int consumed = count == spans.Count ? normalized.Length : spans[count].Start;
        return new EncodeResults<EncodedToken> { Tokens = tokens, NormalizedText = normalized, CharsConsumed = consumed };
    }

    /// <inheritdoc/>
    protected override int GetIndexByTokenCount(
        string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings, bool fromEnd, out string? normalizedText, out int tokenCount)
    {
        List<TokenSpan> spans = Spans(text, textSpan, out string normalized);
        normalizedText = normalized;
        tokenCount = Math.Min(spans.Count, settings.MaxTokenCount);
        if (tokenCount == spans.Count)
            return fromEnd ? 0 : normalized.Length;
        return fromEnd ? spans[^tokenCount].Start : spans[tokenCount].Start;
    }

    /// <inheritdoc/>
    public override string Decode(IEnumerable<int> ids)
    {
        TokenTextStream stream = CreateTextStream(Vocabulary, showControls: false, eager: false);
        StringBuilder text = new();
        foreach (int id in ids)
            stream.Append(id, text);
        stream.Flush(text);
        return text.ToString();
    }

    /// <inheritdoc/>
    public override OperationStatus Decode(IEnumerable<int> ids, Span<char> destination, out int idsConsumed, out int charsWritten)
    {
        // What has been written is the text of whole tokens; bytes of an unfinished character count as consumed with the token that ends it.
        TokenTextStream stream = CreateTextStream(Vocabulary, showControls: false, eager: true);
        StringBuilder text = new();
        int seen = 0;
        idsConsumed = 0;
        charsWritten = 0;
        foreach (int id in ids)
        {
            stream.Append(id, text);
            seen++;
            if (text.Length == 0)
                continue;
            if (text.Length > destination.Length - charsWritten)
                return OperationStatus.DestinationTooSmall;
            text.CopyTo(0, destination[charsWritten..], text.Length);
            charsWritten += text.Length;
            idsConsumed = seen;
            text.Clear();
        }
        stream.Flush(text);
        if (text.Length > destination.Length - charsWritten)
            return OperationStatus.DestinationTooSmall;
        text.CopyTo(0, destination[charsWritten..], text.Length);
        charsWritten += text.Length;
        idsConsumed = seen;
        return OperationStatus.Done;
    }

    private List<TokenSpan> Spans(string? text, ReadOnlySpan<char> textSpan, out string normalized)
    {
        List<TokenSpan> spans = [];
        normalized = EncodeSection(NormalizeSection(WellFormed(text ?? textSpan.ToString())), isFirst: true, spans);
        return spans;
    }
}
