using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Decodes tokens as they are generated. Text once given out is final: it never ends inside a character. All pieces together are the text of
/// prompt and generated tokens less that of the prompt; so after a prompt the first word keeps the space before it. Only where bytes turn out
/// not to be UTF-8 can <see cref="TextTokenizer.Decode"/>, which sees all of them, have more U+FFFD. For one request at a time; not thread-safe.
/// </summary>
public sealed class IncrementalDetokenizer
{
    private readonly TokenTextStream _stream;
    private readonly HashSet<int> _skipped;
    private readonly StringBuilder _text = new();

    internal IncrementalDetokenizer(TokenTextStream stream, HashSet<int> skipped, ReadOnlySpan<int> promptIds)
    {
        _stream = stream;
        _skipped = skipped;
        foreach (int id in promptIds)
        {
            Take(id);
            _text.Clear();
        }
    }

    /// <summary>Takes the next token.</summary>
    /// <param name="id">
    /// The token's id; one that stands for no token (a model may have more rows than its tokenizer has tokens) gives no text.
    /// </param>
    /// <returns>The text that has become final, often empty.</returns>
    public string Append(int id)
    {
        Take(id);
        return Taken();
    }

    /// <summary>Ends the text.</summary>
    /// <returns>U+FFFD for bytes that still waited for the rest of their character, otherwise nothing.</returns>
    public string Flush()
    {
        _stream.Flush(_text);
        return Taken();
    }

    private void Take(int id)
    {
        if (!_skipped.Contains(id))
            _stream.Append(id, _text);
    }

    private string Taken()
    {
        if (_text.Length == 0)
            return "";
        string text = _text.ToString();
        _text.Clear();
        return text;
    }
}
