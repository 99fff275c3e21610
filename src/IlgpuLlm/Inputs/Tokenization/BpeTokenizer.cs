using System.Runtime.InteropServices;
using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Encodes as the tokenizer.json of a BPE model says: normalizer, pre-tokenizer, merges. Both Llama 2's kind (U+2581 for spaces, byte fallback) and
/// the byte-level kind of Llama 3 run here. (Microsoft.ML.Tokenizers' TiktokenTokenizer gives Llama 3's ids too, but in time quadratic in the
/// length of a word: 2.9 s for 100,000 letters.)
/// </summary>
internal sealed class BpeTokenizer : SectionTokenizer
{
    /// <summary>The model.</summary>
    public required BpeModel Model { get; init; }

    /// <summary>Applied to a section before added tokens that ask for it are looked for.</summary>
    public IReadOnlyList<ITextRewriter> Normalizers { get; init; } = [];

    /// <summary>Applied to what lies between added tokens: the rewriting that pre-tokenizers do.</summary>
    public IReadOnlyList<ITextRewriter> Rewriters { get; init; } = [];

    /// <summary>Cut the text into words, one after another.</summary>
    public IReadOnlyList<ITextSplitter> Splitters { get; init; } = [];

    /// <summary>Words are spelled in <see cref="ByteAlphabet"/>.</summary>
    public bool ByteLevel { get; init; }

    /// <summary>How tokens become text.</summary>
    public required DecoderOptions Decoder { get; init; }

    /// <inheritdoc/>
    public override Vocabulary Vocabulary => Model.Vocabulary;

    /// <inheritdoc/>
    public override string NormalizeSection(string text) => Rewrite(text, Normalizers, isFirst: true);

    /// <inheritdoc/>
    public override string EncodeSection(string text, bool isFirst, List<TokenSpan> output)
    {
        text = Rewrite(text, Rewriters, isFirst);
        List<(int Start, int End)> words = [(0, text.Length)];
        foreach (ITextSplitter splitter in Splitters)
        {
            List<(int Start, int End)> parts = new(words.Count);
            foreach ((int start, int end) in words)
                splitter.Split(text, start, end, parts);
            words = parts;
        }
        BpeWorkspace workspace = new();
        byte[] utf8 = [];
        char[] spelled = [];
        foreach ((int start, int end) in words)
        {
            ReadOnlySpan<char> word = text.AsSpan(start, end - start);
            if (!ByteLevel)
            {
                Model.Encode(word, start, workspace, output);
                continue;
            }
            int maxBytes = Encoding.UTF8.GetMaxByteCount(word.Length);
            if (utf8.Length < maxBytes)
            {
                utf8 = new byte[maxBytes];
                spelled = new char[maxBytes];
            }
            int count = Encoding.UTF8.GetBytes(word, utf8);
            ByteAlphabet.Spell(utf8.AsSpan(0, count), spelled);
            int first = output.Count;
            Model.Encode(spelled.AsSpan(0, count), 0, workspace, output);
            ToCharBounds(utf8.AsSpan(0, count), start, CollectionsMarshal.AsSpan(output)[first..]);
        }
        return text;
    }

    /// <inheritdoc/>
    public override TokenTextStream CreateTextStream(Vocabulary vocabulary, bool showControls, bool eager) =>
        ByteLevel ? new ByteLevelTextStream(vocabulary) : new BpeTextStream(vocabulary, Decoder, eager);

    private static string Rewrite(string text, IReadOnlyList<ITextRewriter> rewriters, bool isFirst)
    {
        if (text.Length == 0)
            return text;
        foreach (ITextRewriter rewriter in rewriters)
            text = rewriter.Rewrite(text, isFirst);
        return text;
    }

    // Tokens of a byte-level word are bounded in bytes; a token that covers part of a character is given the whole of it.
    private static void ToCharBounds(ReadOnlySpan<byte> utf8, int offset, Span<TokenSpan> tokens)
    {
        int position = 0; // in bytes, at the start of a character
        int chars = 0;
        foreach (ref TokenSpan token in tokens)
        {
            Advance(utf8, token.Start, ref position, ref chars);
            int start = chars;
            int end = chars;
            int endPosition = position;
            Advance(utf8, token.End, ref endPosition, ref end);
            if (endPosition < token.End)
                end += Units(utf8[endPosition]);
            token = token with { Start = offset + start, End = offset + end };
        }
    }

    // Moves on by whole characters while they end at or before a limit.
    private static void Advance(ReadOnlySpan<byte> utf8, int limit, ref int position, ref int chars)
    {
        for (int length; position < limit && position + (length = Length(utf8[position])) <= limit; position += length)
            chars += Units(utf8[position]);
    }

    private static int Length(byte lead) => lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    private static int Units(byte lead) => lead < 0xF0 ? 1 : 2;
}
