using System.Globalization;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

// Expressions, from the weakest operator to the strongest.
internal sealed partial class Parser
{
    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    private Expression ParseExpression(bool withCondition = true)
    {
        Enter();
        var expression = withCondition ? ParseConditional() : ParseOr();
        Leave();
        return expression;
    }

    private Expression ParseConditional()
    {
        int line = Current.Line;
        var expression = ParseOr();
        while (SkipName("if"))
        {
            var condition = ParseOr();
            var otherwise = SkipName("else") ? ParseExpression() : null;
            expression = new Conditional(condition, expression, otherwise, line);
            line = Current.Line;
        }
        return expression;
    }

    private Expression ParseOr()
    {
        int line = Current.Line;
        var left = ParseAnd();
        while (SkipName("or"))
            left = new Logical(left, ParseAnd(), isAnd: false, line);
        return left;
    }

    private Expression ParseAnd()
    {
        int line = Current.Line;
        var left = ParseNot();
        while (SkipName("and"))
            left = new Logical(left, ParseNot(), isAnd: true, line);
        return left;
    }

    private Expression ParseNot()
    {
        int line = Current.Line;
        if (!SkipName("not"))
            return ParseComparison();
        Enter();
        var operand = ParseNot();
        Leave();
        return new Not(operand, line);
    }

    private Expression ParseComparison()
    {
        int line = Current.Line;
        var first = ParseSum();
        List<KeyValuePair<string, Expression>> rest = [];
        while (true)
        {
            string operation;
            if (Current.Kind == TokenKind.Operator && Comparisons.Contains(Current.Text))
                operation = Next().Text;
            else if (SkipName("in"))
                operation = "in";
            else if (Current.IsName("not") && _tokens[_pos + 1].IsName("in"))
                (operation, _pos) = ("not in", _pos + 2);
            else
                break;
            rest.Add(new(operation, ParseSum()));
        }
        return rest.Count == 0 ? first : new Comparison(first, rest, line);
    }

    private Expression ParseSum() => ParseBinary(ParseConcat, "+", "-");

    private Expression ParseConcat()
    {
        int line = Current.Line;
        List<Expression> parts = [ParseProduct()];
        while (SkipOperator("~"))
            parts.Add(ParseProduct());
        return parts.Count == 1 ? parts[0] : new Concat(parts, line);
    }

    private Expression ParseProduct() => ParseBinary(() => ParseBinary(() => ParseUnary(), "**"), "*", "/", "//", "%");

    private Expression ParseBinary(Func<Expression> parseOperand, params ReadOnlySpan<string> operations)
    {
        int line = Current.Line;
        var left = parseOperand();
        while (Current.Kind == TokenKind.Operator && operations.Contains(Current.Text))
            left = new Binary(Next().Text, left, parseOperand(), line);
        return left;
    }

    // A sign binds stronger than a filter: -1 | abs is 1.
    private Expression ParseUnary(bool withFilter = true)
    {
        int line = Current.Line;
        Expression expression;
        if (Current.Kind == TokenKind.Operator && Current.Text is "-" or "+")
        {
            bool isMinus = Next().Text == "-";
            Enter();
            expression = new Sign(ParseUnary(withFilter: false), isMinus, line);
            Leave();
        }
        else
        {
            expression = ParsePrimary();
        }
        expression = ParsePostfix(expression);
        return withFilter ? ParseFiltersAndTests(expression) : expression;
    }

    private Expression ParsePrimary()
    {
        var token = Next();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return token.Text switch
                {
                    "true" or "True" => new Literal(true, token.Line),
                    "false" or "False" => new Literal(false, token.Line),
                    "none" or "None" => new Literal(JinjaNone.Value, token.Line),
                    _ => ReadVariable(token),
                };
            case TokenKind.String:
                string text = token.Text;
                while (Current.Kind == TokenKind.String)
                    text += Next().Text;
                return new Literal(text, token.Line);
            case TokenKind.Integer:
                return new Literal(ParseInteger(token), token.Line);
            case TokenKind.Float:
                return new Literal(double.Parse(token.Text, CultureInfo.InvariantCulture), token.Line);
            case TokenKind.Operator when token.Text == "(":
                var tuple = ParseTuple(inParentheses: true);
                ExpectOperator(")");
                return tuple;
            case TokenKind.Operator when token.Text == "[":
                return new ListExpression(ParseItems("]", () => ParseExpression()), isTuple: false, token.Line);
            case TokenKind.Operator when token.Text == "{":
                return new DictExpression(ParseItems("}", ParseMember), token.Line);
            default:
                if (token.Kind != TokenKind.End)
                    _pos--;
                throw Unexpected("an expression");
        }
    }

    private Name ReadVariable(Token token)
    {
        if (_macros.TryPeek(out var macro))
            macro.Names.Add(token.Text);
        return new Name(token.Text, token.Line);
    }

    private static object ParseInteger(Token token)
    {
        string text = token.Text;
        try
        {
            return text.Length > 2 && !char.IsAsciiDigit(text[1])
                ? Convert.ToInt64(text[2..], char.ToLowerInvariant(text[1]) switch { 'x' => 16, 'o' => 8, _ => 2 })
                : long.Parse(text, CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is OverflowException or FormatException or ArgumentException)
        {
            throw new JinjaException($"{token}: an integer must have 64 bits", token.Line);
        }
    }

    private List<T> ParseItems<T>(string end, Func<T> parseItem)
    {
        List<T> items = [];
        while (!SkipOperator(end))
        {
            if (items.Count > 0)
                ExpectOperator(",");
            if (SkipOperator(end))
                break;
            items.Add(parseItem());
        }
        return items;
    }

    private KeyValuePair<Expression, Expression> ParseMember()
    {
        var key = ParseExpression();
        ExpectOperator(":");
        return new(key, ParseExpression());
    }

    // One expression, or several with commas between.
    private Expression ParseTuple(bool inParentheses = false, bool withCondition = true)
    {
        int line = Current.Line;
        List<Expression> items = [];
        bool isTuple = false;
        while (!EndsTuple())
        {
            items.Add(ParseExpression(withCondition));
            if (!SkipOperator(","))
                break;
            isTuple = true;
        }
        if (items.Count == 0 && !inParentheses)
            throw Unexpected("an expression");
        return items.Count == 1 && !isTuple ? items[0] : new ListExpression(items, isTuple: true, line);
    }

    private bool EndsTuple() => Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd or TokenKind.End || Current.IsOperator(")");

    private Expression ParsePostfix(Expression expression)
    {
        while (true)
        {
            int line = Current.Line;
            if (SkipOperator("."))
                expression = ParseMemberAccess(expression, line);
            else if (SkipOperator("["))
                expression = ParseSubscript(expression, line);
            else if (Current.IsOperator("("))
                expression = new Call(expression, ParseArguments(), line);
            else
                return expression;
        }
    }

    private Expression ParseMemberAccess(Expression target, int line)
    {
        var name = Next();
        return name.Kind switch
        {
            TokenKind.Name => new GetAttribute(target, name.Text, line),
            TokenKind.Integer => new GetItem(target, new Literal(ParseInteger(name), name.Line), line),
            _ => throw new JinjaException($"expected a name or a number behind '.', found {name}", name.Line),
        };
    }

    private Expression ParseSubscript(Expression target, int line)
    {
        List<Expression> indices = [];
        Expression? start = Current.IsOperator(":") ? null : ParseExpression();
        if (SkipOperator(":"))
        {
            var stop = EndsSlice() ? null : ParseExpression();
            var step = SkipOperator(":") && !EndsSlice() ? ParseExpression() : null;
            ExpectOperator("]");
            return new SliceExpression(target, start, stop, step, line);
        }
        indices.Add(start!);
        while (SkipOperator(","))
            indices.Add(ParseExpression());
        ExpectOperator("]");
        return new GetItem(target, indices.Count == 1 ? indices[0] : new ListExpression(indices, isTuple: true, line), line);
    }

    private bool EndsSlice() => Current.IsOperator("]") || Current.IsOperator(":");

    private ArgumentList ParseArguments()
    {
        int line = Current.Line;
        ExpectOperator("(");
        List<Expression> positional = [];
        List<KeyValuePair<string, Expression>> named = [];
        Expression? unpacked = null, unpackedNamed = null;
        while (!SkipOperator(")"))
        {
            if (positional.Count + named.Count > 0 || unpacked is not null || unpackedNamed is not null)
                ExpectOperator(",");
            if (SkipOperator(")"))
                break;
            if (Current.IsOperator("*") && unpacked is null && unpackedNamed is null)
            {
                Next();
                unpacked = ParseExpression();
            }
            else if (Current.IsOperator("**") && unpackedNamed is null)
            {
                Next();
                unpackedNamed = ParseExpression();
            }
            else if (Current.Kind == TokenKind.Name && _tokens[_pos + 1].IsOperator("=") && unpackedNamed is null)
            {
                string name = Next().Text;
                Next();
                named.Add(new(name, ParseExpression()));
            }
            else if (named.Count == 0 && unpacked is null && unpackedNamed is null)
            {
                positional.Add(ParseExpression());
            }
            else
            {
                throw new JinjaException("invalid syntax for function call expression", line);
            }
        }
        return new ArgumentList(positional, named, unpacked, unpackedNamed);
    }

    private Expression ParseFiltersAndTests(Expression expression)
    {
        while (true)
        {
            int line = Current.Line;
            if (SkipOperator("|"))
                expression = ParseFilter(expression, line);
            else if (SkipName("is"))
                expression = ParseTest(expression, line);
            else if (Current.IsOperator("("))
                expression = new Call(expression, ParseArguments(), line);
            else
                return expression;
        }
    }

    private FilterExpression ParseFilter(Expression? value, int line)
    {
        string name = ParseDottedName("a filter's name");
        if (!Filters.All.TryGetValue(name, out var filter))
            throw new JinjaException($"No filter named '{name}'.", line);
        return new FilterExpression(value, name, filter, Current.IsOperator("(") ? ParseArguments() : ArgumentList.Empty, line);
    }

    private Expression ParseTest(Expression value, int line)
    {
        bool isNegated = SkipName("not");
        string name = ParseDottedName("a test's name");
        if (!Tests.All.TryGetValue(name, out var test))
            throw new JinjaException($"No test named '{name}'.", line);
        var arguments = ArgumentList.Empty;
        if (Current.IsOperator("("))
        {
            arguments = ParseArguments();
        }
        else if (Current.Kind is TokenKind.String or TokenKind.Integer or TokenKind.Float || Current.IsOperator("[") || Current.IsOperator("{")
            || (Current.Kind == TokenKind.Name && Current.Text is not ("else" or "or" or "and")))
        {
            if (Current.IsName("is"))
                throw new JinjaException("You cannot chain multiple tests with is", Current.Line);
            arguments = new ArgumentList([ParsePostfix(ParsePrimary())], [], null, null);
        }
        Expression expression = new TestExpression(value, test, arguments, line);
        return isNegated ? new Not(expression, line) : expression;
    }

    private string ParseDottedName(string what)
    {
        string name = ExpectIdentifier(what);
        while (SkipOperator("."))
            name += "." + ExpectIdentifier(what);
        return name;
    }
}
