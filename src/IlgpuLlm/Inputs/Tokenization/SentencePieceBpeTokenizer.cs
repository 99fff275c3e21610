using System.Runtime.InteropServices;
using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Encodes exactly as SentencePiece's BPE models do: the pair of neighbours whose concatenation is the piece of the highest score merges first,
/// the leftmost among equal scores; user-defined symbols stay whole; what is no piece in the end is spelled in bytes.
/// (Microsoft.ML.Tokenizers 2.0.1 takes the rightmost of equal scores.)
/// </summary>
internal sealed class SentencePieceBpeTokenizer : SectionTokenizer
{
    private readonly SentencePieceModel _model;
    private readonly SentencePieceNormalizer _normalizer;
    private readonly StringTrie _userDefined = new();
    private readonly bool _prefixEverySection;
    private readonly int[] _byteIds;
    private readonly int[] _priorities;
    private readonly int _maxPieceLength;
    private readonly bool _hasUnused;
    private readonly BigramSet _bigrams = new();

    /// <summary>Makes the tokenizer of a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prefixEverySection">
    /// Whether the space before the text is also put before text that follows a special token, as Hugging Face does with "legacy": true.
    /// </param>
    public SentencePieceBpeTokenizer(SentencePieceModel model, bool prefixEverySection = true)
    {
        _model = model;
        _prefixEverySection = prefixEverySection;
        _byteIds = [.. Enumerable.Range(0, 256).Select(value => model.Vocabulary.IdOrNull(ByteToken.Name(value)) ?? model.UnknownId)];
        _priorities = new int[model.Pieces.Count];
        for (int id = 0; id < model.Pieces.Count; id++)
        {
            SentencePiece piece = model.Pieces[id];
            _priorities[id] = Priority(piece.Score);
            if (IsText(piece.Type))
            {
                _maxPieceLength = Math.Max(_maxPieceLength, piece.Text.Length);
                _bigrams.AddAll(piece.Text);
            }
            if (piece.Type == SentencePieceType.UserDefined)
                _userDefined.Add(piece.Text, id);
            _hasUnused |= piece.Type == SentencePieceType.Unused;
        }
        _normalizer = new SentencePieceNormalizer(model, _userDefined);
    }

    /// <inheritdoc/>
    public override Vocabulary Vocabulary => _model.Vocabulary;

    /// <inheritdoc/>
    public override string EncodeSection(string text, bool isFirst, List<TokenSpan> output)
    {
        string normalized = _normalizer.Normalize(text, isFirst || _prefixEverySection);
        BpeWorkspace workspace = new();
        for (int start = 0, end; start < normalized.Length; start = end)
        {
            int length = _userDefined.LongestMatch(normalized.AsSpan(start), out int id);
            bool frozen = length > 0;
            if (!frozen)
                length = char.IsHighSurrogate(normalized[start]) ? 2 : 1;
            end = start + length;
            if (!frozen && !Vocabulary.TryGetId(normalized.AsSpan(start, length), out id))
                id = BpeSymbol.Unknown;
            workspace.Add(id, start, end, normalized.AsSpan(start, length), frozen);
        }
        Dictionary<string, int>? splits = _hasUnused ? [] : null;
        workspace.Merge(new MergeTable(this, normalized, splits));

        ReadOnlySpan<BpeSymbol> symbols = workspace.Symbols;
        for (int i = 0; i < symbols.Length; i = symbols[i].Next)
        {
            if (symbols[i].Id == BpeSymbol.Unknown || symbols[i].Id == _model.UnknownId)
                AddUnknown(normalized, symbols[i], output);
            else
                AddPiece(normalized, new TokenSpan(symbols[i].Id, symbols[i].Start, symbols[i].End), splits, output);
        }
        return normalized;
    }

    /// <inheritdoc/>
    public override TokenTextStream CreateTextStream(Vocabulary vocabulary, bool showControls, bool eager) =>
        new SentencePieceTextStream(_model, vocabulary, showControls);

    private void AddUnknown(string text, in BpeSymbol symbol, List<TokenSpan> output)
    {
        if (_model.ByteFallback)
        {
            Span<byte> utf8 = stackalloc byte[4];
            int count = Encoding.UTF8.GetBytes(text.AsSpan(symbol.Start, symbol.End - symbol.Start), utf8);
            foreach (byte value in utf8[..count])
                output.Add(new TokenSpan(_byteIds[value], symbol.Start, symbol.End));
        }
        else if (output.Count > 0 && output[^1].Id == _model.UnknownId && output[^1].End == symbol.Start)
        {
            // Unknown characters in a row are one unknown token.
            CollectionsMarshal.AsSpan(output)[^1] = output[^1] with { End = symbol.End };
        }
        else
        {
            output.Add(new TokenSpan(_model.UnknownId, symbol.Start, symbol.End));
        }
    }

    // An unused piece goes out as the two parts that were merged into it, these likewise.
    private void AddPiece(string text, TokenSpan piece, Dictionary<string, int>? splits, List<TokenSpan> output)
    {
        if (splits is null || _model.Pieces[piece.Id].Type != SentencePieceType.Unused
            || !splits.TryGetValue(text[piece.Start..piece.End], out int leftLength))
        {
            output.Add(piece);
            return;
        }
        int middle = piece.Start + leftLength;
        AddPart(piece.Start, middle);
        AddPart(middle, piece.End);

        void AddPart(int start, int end)
        {
            if (Vocabulary.TryGetId(text.AsSpan(start, end - start), out int id))
                AddPiece(text, new TokenSpan(id, start, end), splits, output);
            else
                AddUnknown(text, new BpeSymbol { Start = start, End = end }, output);
        }
    }

    private static bool IsText(SentencePieceType type) =>
        type is SentencePieceType.Normal or SentencePieceType.UserDefined or SentencePieceType.Unused;

    // Floats as integers of the same order: of the bits of a negative one all but the sign are flipped. The highest score gets the smallest.
    private static int Priority(float score)
    {
        int bits = BitConverter.SingleToInt32Bits(score + 0f);
        return ~(bits >= 0 ? bits : bits ^ int.MaxValue);
    }

    private readonly struct MergeTable(SentencePieceBpeTokenizer owner, string text, Dictionary<string, int>? splits) : IMergeTable
    {
        public bool CanMeet(in BpeSymbol left, in BpeSymbol right) => owner._bigrams.Contains(left.Last, right.First);

        public bool TryMerge(in BpeSymbol left, in BpeSymbol right, out int priority, out int mergedId)
        {
            priority = 0;
            mergedId = BpeSymbol.Unknown;
            int length = right.End - left.Start;
            if (left.Frozen || right.Frozen || length > owner._maxPieceLength)
                return false;
            ReadOnlySpan<char> piece = text.AsSpan(left.Start, length);
            if (!owner.Vocabulary.TryGetId(piece, out mergedId) || !IsText(owner._model.Pieces[mergedId].Type))
                return false;
            priority = owner._priorities[mergedId];
            if (owner._model.Pieces[mergedId].Type == SentencePieceType.Unused)
                splits![piece.ToString()] = left.End - left.Start;
            return true;
        }
    }
}
