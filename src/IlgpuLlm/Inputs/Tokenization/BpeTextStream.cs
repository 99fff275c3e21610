using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Decodes as Hugging Face's sequence Replace, ByteFallback, Fuse, Strip. A run of byte tokens that is not valid UTF-8 as a whole becomes U+FFFD for
/// every byte of it; a stream that is eager has given out the complete characters at its start by then, as vLLM's has.
/// </summary>
internal sealed class BpeTextStream : TokenTextStream
{
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly Vocabulary _vocabulary;
    private readonly DecoderOptions _options;
    private readonly List<byte>? _run;
    private Utf8Assembler _bytes;
    private bool _isFirstToken = true;
    private int _strip;

    /// <summary>Starts a text.</summary>
    public BpeTextStream(Vocabulary vocabulary, DecoderOptions options, bool eager)
    {
        _vocabulary = vocabulary;
        _options = options;
        _strip = options.StripStart;
        _run = eager ? null : [];
    }

    /// <inheritdoc/>
    public override void Append(int id, StringBuilder text)
    {
        if (_vocabulary.Token(id) is not { } token)
            return;
        int value = _options.ByteFallback ? ByteToken.Value(token) : -1;
        bool isFirst = _isFirstToken;
        _isFirstToken = false;
        if (value < 0)
            EndBytes(text);
        int start = text.Length;
        if (value < 0)
            text.Append(Replaced(token, isFirst));
        else if (_run is null)
            _bytes.Append((byte)value, text);
        else
            _run.Add((byte)value);
        Strip(text, start);
    }

    /// <inheritdoc/>
    public override void Flush(StringBuilder text) => EndBytes(text);

    private void EndBytes(StringBuilder text)
    {
        int start = text.Length;
        _bytes.Flush(text);
        if (_run is { Count: > 0 })
        {
            try
            {
                text.Append(StrictUtf8.GetString([.. _run]));
            }
            catch (DecoderFallbackException)
            {
                text.Append('\uFFFD', _run.Count);
            }
            _run.Clear();
        }
        Strip(text, start);
    }

    private string Replaced(string token, bool isFirst)
    {
        foreach (ReplaceRewriter replacement in _options.Replacements)
        {
            token = isFirst && _options.DropLeadingSpaces
                ? token.Replace(replacement.Pattern, "", StringComparison.Ordinal)
                : replacement.Rewrite(token, isFirst);
        }
        return token;
    }

    private void Strip(StringBuilder text, int start)
    {
        while (_strip > 0 && text.Length > start)
        {
            _strip = text[start] == _options.StripContent ? _strip - 1 : -1;
            if (_strip >= 0)
                text.Remove(start, 1);
        }
    }
}
