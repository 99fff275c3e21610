using System.Globalization;
using System.Text;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>
/// Cuts a template into tokens, as jinja2's lexer does: <c>-</c> beside a delimiter removes white space, <c>+</c> keeps it, one line break at the
/// template's end is dropped.
/// </summary>
internal sealed class Lexer
{
    // Longer ones first.
    private static readonly string[] Operators =
        ["//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"];

    private readonly string _source;
    private readonly bool _trimBlocks;
    private readonly bool _lstripBlocks;
    private readonly List<Token> _tokens = [];
    private int _pos;
    private int _line = 1;
    private bool _atLineStart = true;

    private Lexer(string source, bool trimBlocks, bool lstripBlocks) => (_source, _trimBlocks, _lstripBlocks) = (source, trimBlocks, lstripBlocks);

    /// <summary>Tokens of a template; the last one is <see cref="TokenKind.End"/>.</summary>
    /// <param name="source">The template.</param>
    /// <param name="trimBlocks">Drops a line break behind a block or comment.</param>
    /// <param name="lstripBlocks">Drops white space between the beginning of a line and a block or comment.</param>
    /// <exception cref="JinjaException">No token can be made of it.</exception>
    public static List<Token> Tokenize(string source, bool trimBlocks, bool lstripBlocks)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        if (source.EndsWith('\n'))
            source = source[..^1];
        var lexer = new Lexer(source, trimBlocks, lstripBlocks);
        lexer.Run();
        return lexer._tokens;
    }

    private void Run()
    {
        while (_pos < _source.Length)
        {
            int tag = FindTag(_pos);
            if (tag < 0)
            {
                AddData(_source[_pos..]);
                Advance(_source.Length);
                break;
            }
            char kind = _source[tag + 1];
            int next = tag + 2;
            char sign = next < _source.Length && _source[next] is '-' or '+' ? _source[next++] : '\0';
            AddData(Strip(_source[_pos..tag], sign, isVariable: kind == '{'));
            Advance(next);
            if (kind == '#')
                SkipComment();
            else if (kind == '{')
                ReadTag(TokenKind.VariableBegin, TokenKind.VariableEnd, "}}");
            else if (BeginsRaw() is { } afterRaw)
                ReadRaw(afterRaw);
            else
                ReadTag(TokenKind.BlockBegin, TokenKind.BlockEnd, "%}");
        }
        _tokens.Add(new Token(TokenKind.End, "", _line));
    }

    private int FindTag(int from)
    {
        for (int i = _source.IndexOf('{', from); i >= 0 && i + 1 < _source.Length; i = _source.IndexOf('{', i + 1))
        {
            if (_source[i + 1] is '{' or '%' or '#')
                return i;
        }
        return -1;
    }

    private string Strip(string text, char sign, bool isVariable)
    {
        if (sign == '-')
            return PythonText.TrimEnd(text);
        if (sign == '+' || !_lstripBlocks || isVariable)
            return text;
        int lineStart = text.LastIndexOf('\n') + 1;
        return (lineStart > 0 || _atLineStart) && text.AsSpan(lineStart).IndexOfAnyExcept(PythonText.Spaces) < 0 ? text[..lineStart] : text;
    }

    private void AddData(string text)
    {
        if (text.Length > 0)
            _tokens.Add(new Token(TokenKind.Data, text, _line));
    }

    // Moves on and counts the lines that are passed.
    private void Advance(int to)
    {
        if (to == _pos)
            return;
        _line += _source.AsSpan(_pos, to - _pos).Count('\n');
        _atLineStart = _source[to - 1] == '\n';
        _pos = to;
    }

    // The position behind a delimiter that ends a tag here, or -1.
    private int EndOfTag(int at, string delimiter)
    {
        char sign = _source[at];
        bool isSigned = sign == '-' || (sign == '+' && delimiter != "}}");
        int start = isSigned ? at + 1 : at;
        if (string.CompareOrdinal(_source, start, delimiter, 0, 2) != 0)
            return -1;
        int end = start + 2;
        if (isSigned && sign == '-')
            return SkipSpaces(end);
        return !isSigned && _trimBlocks && delimiter != "}}" && end < _source.Length && _source[end] == '\n' ? end + 1 : end;
    }

    private int SkipSpaces(int at)
    {
        while (at < _source.Length && PythonText.IsSpace(_source[at]))
            at++;
        return at;
    }

    private void SkipComment()
    {
        for (int i = _source.IndexOf('#', _pos); i >= 0; i = _source.IndexOf('#', i + 1))
        {
            if (i + 1 >= _source.Length || _source[i + 1] != '}')
                continue;
            int start = i > _pos && _source[i - 1] is '-' or '+' ? i - 1 : i;
            Advance(EndOfTag(start, "#}"));
            return;
        }
        throw new JinjaException("a comment is not closed: '#}' is missing", _line);
    }

    private int? BeginsRaw()
    {
        int at = SkipSpaces(_pos);
        if (string.CompareOrdinal(_source, at, "raw", 0, 3) != 0)
            return null;
        at = SkipSpaces(at + 3);
        if (string.CompareOrdinal(_source, at, "-%}", 0, 3) == 0)
            return SkipSpaces(at + 3);
        return string.CompareOrdinal(_source, at, "%}", 0, 2) == 0 ? at + 2 : null;
    }

    private void ReadRaw(int start)
    {
        Advance(start);
        int line = _line;
        for (int i = _source.IndexOf("{%", start, StringComparison.Ordinal); i >= 0; i = _source.IndexOf("{%", i + 1, StringComparison.Ordinal))
        {
            int at = i + 2;
            char sign = at < _source.Length && _source[at] is '-' or '+' ? _source[at++] : '\0';
            at = SkipSpaces(at);
            if (string.CompareOrdinal(_source, at, "endraw", 0, 6) != 0)
                continue;
            at = SkipSpaces(at + 6);
            int end = at < _source.Length ? EndOfTag(at, "%}") : -1;
            if (end < 0)
                continue;
            AddData(Strip(_source[start..i], sign, isVariable: false));
            Advance(end);
            return;
        }
        throw new JinjaException("{% raw %} is not closed: {% endraw %} is missing", line);
    }

    private void ReadTag(TokenKind begin, TokenKind end, string delimiter)
    {
        int line = _line;
        _tokens.Add(new Token(begin, "", line));
        // Inside brackets }} is not the tag's end: {{ {'a': {}} }}.
        var brackets = new Stack<char>();
        while (_pos < _source.Length)
        {
            if (brackets.Count == 0 && EndOfTag(_pos, delimiter) is >= 0 and int after)
            {
                _tokens.Add(new Token(end, "", _line));
                Advance(after);
                return;
            }
            char c = _source[_pos];
            if (PythonText.IsSpace(c))
                Advance(_pos + 1);
            else if (c is '\'' or '"')
                ReadString(c);
            else if (char.IsAsciiDigit(c))
                ReadNumber();
            else if (c == '_' || char.IsLetter(c))
                ReadName();
            else
                ReadOperator(brackets);
        }
        throw new JinjaException($"a tag is not closed: '{delimiter}' is missing", line);
    }

    private void ReadName()
    {
        int end = _pos + 1;
        while (end < _source.Length && (_source[end] == '_' || char.IsLetterOrDigit(_source[end])
            || char.GetUnicodeCategory(_source[end]) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.ConnectorPunctuation))
        {
            end++;
        }
        Add(TokenKind.Name, _source[_pos..end], end);
    }

    private void ReadNumber()
    {
        int end = Digits(_pos);
        // In matrix.0.1 the dots are no decimal points.
        bool isIndex = _pos > 0 && _source[_pos - 1] == '.';
        bool isFloat = false;
        if (!isIndex && end + 1 < _source.Length && _source[end] == '.' && char.IsAsciiDigit(_source[end + 1]))
        {
            end = Digits(end + 1);
            isFloat = true;
        }
        int sign = end + 1 < _source.Length && _source[end] is 'e' or 'E' ? end + 1 + (_source[end + 1] is '+' or '-' ? 1 : 0) : -1;
        if (!isIndex && sign > 0 && sign < _source.Length && char.IsAsciiDigit(_source[sign]))
        {
            end = Digits(sign);
            isFloat = true;
        }
        else if (!isFloat && end == _pos + 1 && _source[_pos] == '0' && end < _source.Length && _source[end] is 'x' or 'X' or 'b' or 'B' or 'o' or 'O')
        {
            end++;
            while (end < _source.Length && (char.IsAsciiHexDigit(_source[end]) || _source[end] == '_'))
                end++;
        }
        Add(isFloat ? TokenKind.Float : TokenKind.Integer, _source[_pos..end].Replace("_", "", StringComparison.Ordinal), end);
    }

    private int Digits(int at)
    {
        while (at < _source.Length && (char.IsAsciiDigit(_source[at]) || (_source[at] == '_' && at + 1 < _source.Length && char.IsAsciiDigit(_source[at + 1]))))
            at++;
        return at;
    }

    private void ReadOperator(Stack<char> brackets)
    {
        if (Array.Find(Operators, o => string.CompareOrdinal(_source, _pos, o, 0, o.Length) == 0) is not { } text)
            throw new JinjaException($"unexpected character {PythonText.Repr(Rune.TryGetRuneAt(_source, _pos, out var rune) ? rune.ToString() : "?")}", _line);
        if (text[0] is '(' or '[' or '{')
        {
            brackets.Push(text[0] switch { '(' => ')', '[' => ']', _ => '}' });
        }
        else if (text[0] is ')' or ']' or '}')
        {
            if (!brackets.TryPop(out char expected))
                throw new JinjaException($"unexpected '{text}'", _line);
            if (expected != text[0])
                throw new JinjaException($"unexpected '{text}', expected '{expected}'", _line);
        }
        Add(TokenKind.Operator, text, _pos + text.Length);
    }

    private void Add(TokenKind kind, string text, int end)
    {
        _tokens.Add(new Token(kind, text, _line));
        Advance(end);
    }

    private void ReadString(char quote)
    {
        var text = new StringBuilder();
        int line = _line;
        int i = _pos + 1;
        while (i < _source.Length && _source[i] != quote)
        {
            if (_source[i] == '\\' && i + 1 < _source.Length)
                i = ReadEscape(i + 1, text);
            else
                text.Append(_source[i++]);
        }
        if (i >= _source.Length)
            throw new JinjaException("a string is not closed", line);
        _tokens.Add(new Token(TokenKind.String, text.ToString(), line));
        Advance(i + 1);
    }

    // Python's escapes; a backslash before anything else stands for itself.
    private int ReadEscape(int at, StringBuilder text)
    {
        char c = _source[at];
        switch (c)
        {
            case '\n':
                return at + 1;
            case 'x':
                return ReadHex(at + 1, 2, text);
            case 'u':
                return ReadHex(at + 1, 4, text);
            case 'U':
                return ReadHex(at + 1, 8, text);
            case 'N':
                throw new JinjaException("\\N{...} in a string is not supported", _line);
            case >= '0' and <= '7':
                int end = at;
                int value = 0;
                for (; end < at + 3 && end < _source.Length && _source[end] is >= '0' and <= '7'; end++)
                    value = value * 8 + (_source[end] - '0');
                text.Append((char)value);
                return end;
        }
        int known = "abfnrtv\\'\"".IndexOf(c, StringComparison.Ordinal);
        if (known < 0)
            text.Append('\\');
        text.Append(known < 0 ? c : "\a\b\f\n\r\t\v\\'\""[known]);
        return at + 1;
    }

    private int ReadHex(int at, int length, StringBuilder text)
    {
        if (at + length > _source.Length || !uint.TryParse(_source.AsSpan(at, length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint value)
            || value > 0x10FFFF)
        {
            throw new JinjaException($"an escape in a string needs {length} hexadecimal digits of a Unicode character", _line);
        }
        if (value > 0xFFFF)
            text.Append(char.ConvertFromUtf32((int)value));
        else
            text.Append((char)value);
        return at + length;
    }
}
