using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Prepares text as SentencePiece does: replacements, white space, the space before the text.</summary>
internal sealed class SentencePieceNormalizer
{
    /// <summary>How SentencePiece writes a space.</summary>
    public const char Space = '\u2581';

    private readonly SentencePieceModel _model;
    private readonly StringTrie _userDefined;

    /// <summary>Makes the normalizer of a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="userDefined">Its user-defined pieces, which are never replaced.</param>
    public SentencePieceNormalizer(SentencePieceModel model, StringTrie userDefined) => (_model, _userDefined) = (model, userDefined);

    /// <summary>Normalizes a text.</summary>
    /// <param name="text">Well-formed UTF-16.</param>
    /// <param name="addPrefix">Whether the model's space before the text applies here.</param>
    public string Normalize(string text, bool addPrefix)
    {
        char space = _model.EscapeWhitespaces ? Space : ' ';
        StringBuilder result = new(text.Length + 1);
        bool begun = false;
        bool afterSpace = _model.RemoveExtraWhitespaces;
        foreach (ReadOnlyMemory<char> memory in Replaced(text))
        {
            ReadOnlySpan<char> part = memory.Span;
            if (!begun)
            {
                if (part.IsEmpty || (_model.RemoveExtraWhitespaces && part is " "))
                    continue;
                begun = true;
                if (addPrefix && _model.AddDummyPrefix)
                    result.Append(space);
            }
            if (afterSpace)
                part = part.TrimStart(' ');
            if (part.IsEmpty)
                continue;
            int start = result.Length;
            result.Append(part);
            if (_model.EscapeWhitespaces)
                result.Replace(' ', Space, start, part.Length);
            afterSpace = _model.RemoveExtraWhitespaces && part[^1] == ' ';
        }
        if (_model.RemoveExtraWhitespaces)
        {
            // As in SentencePiece this takes the character as well as the space it stands for, and even the prefix.
            while (result.Length > 0 && result[^1] == space)
                result.Length--;
        }
        return result.ToString();
    }

    // The text in parts, each replaced where the model says so. Without replacements a part is a run of spaces and what follows it up to the next.
    private IEnumerable<ReadOnlyMemory<char>> Replaced(string text)
    {
        if (_model.CharsMap is null)
        {
            if (!_model.RemoveExtraWhitespaces)
            {
                yield return text.AsMemory();
                yield break;
            }
            for (int start = 0, next; start < text.Length; start = next)
            {
                next = text.IndexOf(' ', start) + 1;
                next = next == 0 ? text.Length : next;
                yield return text.AsMemory(start, next - start);
            }
            yield break;
        }
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        for (int position = 0, bytePosition = 0; position < text.Length;)
        {
            int length = _userDefined.LongestMatch(text.AsSpan(position), out _);
            if (length > 0)
            {
                yield return text.AsMemory(position, length);
            }
            else if (_model.CharsMap.TryMatch(utf8.AsSpan(bytePosition), out int consumed, out string replacement))
            {
                length = Encoding.UTF8.GetCharCount(utf8, bytePosition, consumed);
                yield return replacement.AsMemory();
            }
            else
            {
                length = char.IsHighSurrogate(text[position]) ? 2 : 1;
                yield return text.AsMemory(position, length);
            }
            bytePosition += Encoding.UTF8.GetByteCount(text, position, length);
            position += length;
        }
    }
}
