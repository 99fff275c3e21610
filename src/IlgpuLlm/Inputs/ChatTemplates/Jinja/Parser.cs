namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>Makes statements and expressions of tokens; the grammar is jinja2's. This file: what both need.</summary>
internal sealed partial class Parser
{
    // A level of brackets takes a dozen calls.
    private const int MaxDepth = 100;

    private readonly List<Token> _tokens;
    private int _pos;
    private int _depth;

    private Parser(List<Token> tokens) => _tokens = tokens;

    /// <summary>Parses a template.</summary>
    /// <exception cref="JinjaException">It is not valid.</exception>
    public static IReadOnlyList<Statement> Parse(List<Token> tokens)
    {
        var parser = new Parser(tokens);
        return parser.ParseBody("the template");
    }

    private Token Current => _tokens[_pos];

    private Token Next()
    {
        var token = _tokens[_pos];
        if (token.Kind != TokenKind.End)
            _pos++;
        return token;
    }

    private bool SkipOperator(string text)
    {
        if (!Current.IsOperator(text))
            return false;
        _pos++;
        return true;
    }

    private bool SkipName(string text)
    {
        if (!Current.IsName(text))
            return false;
        _pos++;
        return true;
    }

    private void Expect(TokenKind kind, string text)
    {
        if (Current.Kind != kind)
            throw Unexpected(text);
        Next();
    }

    private void ExpectOperator(string text)
    {
        if (!SkipOperator(text))
            throw Unexpected($"'{text}'");
    }

    private void ExpectName(string text)
    {
        if (!SkipName(text))
            throw Unexpected($"'{text}'");
    }

    private string ExpectIdentifier(string what)
    {
        if (Current.Kind != TokenKind.Name)
            throw Unexpected(what);
        return Next().Text;
    }

    private JinjaException Unexpected(string expected) => new($"expected {expected}, found {Current}", Current.Line);

    private void Enter()
    {
        if (++_depth > MaxDepth)
            throw new JinjaException($"is nested deeper than {MaxDepth} levels", Current.Line);
    }

    private void Leave() => _depth--;
}
