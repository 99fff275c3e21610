using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Decodes as SentencePiece: the space before the text is taken away again, byte pieces are put together.</summary>
internal sealed class SentencePieceTextStream : TokenTextStream
{
    private readonly SentencePieceModel _model;
    private readonly Vocabulary _vocabulary;
    private readonly bool _showControls;
    private Utf8Assembler _bytes;
    private bool _begun;

    /// <summary>Starts a text.</summary>
    /// <param name="model">The model.</param>
    /// <param name="vocabulary">Its pieces and the added tokens.</param>
    /// <param name="showControls">Whether control and unknown pieces appear as they are written, not as SentencePiece's own decoder has them.</param>
    public SentencePieceTextStream(SentencePieceModel model, Vocabulary vocabulary, bool showControls) =>
        (_model, _vocabulary, _showControls) = (model, vocabulary, showControls);

    /// <inheritdoc/>
    public override void Append(int id, StringBuilder text)
    {
        if (_vocabulary.Token(id) is not { } piece)
            return;
        SentencePieceType type = id < _model.Pieces.Count ? _model.Pieces[id].Type : SentencePieceType.UserDefined;
        if (type == SentencePieceType.Byte)
        {
            _begun = true;
            _bytes.Append((byte)ByteToken.Value(piece), text);
            return;
        }
        _bytes.Flush(text);
        if (type is SentencePieceType.Control or SentencePieceType.Unknown)
        {
            string shown = _showControls ? piece : type == SentencePieceType.Unknown ? _model.UnknownSurface : "";
            _begun |= shown.Length > 0;
            text.Append(shown);
            return;
        }
        ReadOnlySpan<char> surface = piece;
        if (!_begun && (_model.AddDummyPrefix || _model.RemoveExtraWhitespaces) && surface.StartsWith([SentencePieceNormalizer.Space]))
        {
            surface = surface[1..];
            // The prefix is one space; a model that removes extra white space has none at the start at all.
            _begun = !_model.RemoveExtraWhitespaces;
        }
        _begun |= surface.Length > 0;
        int start = text.Length;
        text.Append(surface).Replace(SentencePieceNormalizer.Space, ' ', start, surface.Length);
    }

    /// <inheritdoc/>
    public override void Flush(StringBuilder text) => _bytes.Flush(text);
}
