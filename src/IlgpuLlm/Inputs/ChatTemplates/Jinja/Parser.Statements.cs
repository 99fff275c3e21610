namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

// Statements and the text between them.
internal sealed partial class Parser
{
    // The macros around, and the names that each uses.
    private readonly Stack<(HashSet<string> Names, int NumLoops)> _macros = new();
    private int _numLoops;

    // Statements up to one of the words, which is left to the caller; no words: up to the template's end.
    private List<Statement> ParseBody(string opener, params ReadOnlySpan<string> ends)
    {
        List<Statement> body = [];
        while (true)
        {
            var token = Next();
            switch (token.Kind)
            {
                case TokenKind.Data:
                    body.Add(new TextStatement(token.Text, token.Line));
                    break;
                case TokenKind.VariableBegin:
                    body.Add(new Output(ParseTuple(), token.Line));
                    Expect(TokenKind.VariableEnd, "'}}'");
                    break;
                case TokenKind.BlockBegin when Current.Kind == TokenKind.Name && ends.Contains(Current.Text):
                    return body;
                case TokenKind.BlockBegin:
                    Enter();
                    body.Add(ParseStatement());
                    Leave();
                    Expect(TokenKind.BlockEnd, "'%}'");
                    break;
                case TokenKind.End when ends.Length == 0:
                    return body;
                default:
                    throw new JinjaException($"{opener} is not closed: '{ends[^1]}' is missing", token.Line);
            }
        }
    }

    // The body of a statement, with the ends of its tag and of the tag that closes it.
    private List<Statement> ParseBlock(string opener, string end)
    {
        Expect(TokenKind.BlockEnd, "'%}'");
        var body = ParseBody($"'{opener}'", end);
        ExpectName(end);
        return body;
    }

    private Statement ParseStatement()
    {
        int line = Current.Line;
        string word = ExpectIdentifier("a statement");
        switch (word)
        {
            case "if":
                return ParseIf(line);
            case "for":
                return ParseFor(line);
            case "set":
                return ParseSet(line);
            case "macro":
                string name = ExpectIdentifier("a macro's name");
                return new MacroStatement(ParseMacro(name, "macro", "endmacro", ParseParameters), line);
            case "call":
                return ParseCallBlock(line);
            case "filter":
                var filter = ParseFilterChain(ParseFilter(null, line));
                return new FilterBlock(filter, ParseBlock(word, "endfilter"), line);
            case "with":
                return ParseWith(line);
            case "generation":
                // Its body is a macro's in Transformers, so no loop goes through it.
                int numLoops = _numLoops;
                _numLoops = 0;
                var body = ParseBlock(word, "endgeneration");
                _numLoops = numLoops;
                return new With([], body, line);
            case "print":
                return new Output(ParseTuple(), line);
            case "break" or "continue" when _numLoops == 0:
                throw new JinjaException($"'{word}' outside loop", line);
            case "break" or "continue":
                return new LoopControl(word == "break" ? Flow.Break : Flow.Continue, line);
            case "block" or "extends" or "include" or "import" or "from" or "autoescape" or "do":
                throw new JinjaException($"the statement '{word}' is not supported in chat templates", line);
            default:
                throw new JinjaException($"Encountered unknown tag '{word}'.", line);
        }
    }

    private If ParseIf(int line)
    {
        List<(Expression, IReadOnlyList<Statement>)> branches = [];
        while (true)
        {
            var condition = ParseTuple(withCondition: false);
            Expect(TokenKind.BlockEnd, "'%}'");
            branches.Add((condition, ParseBody("'if'", "elif", "else", "endif")));
            if (SkipName("elif"))
                continue;
            List<Statement> otherwise = [];
            if (SkipName("else"))
                otherwise = ParseBlock("if", "endif");
            else
                ExpectName("endif");
            return new If(branches, otherwise, line);
        }
    }

    private For ParseFor(int line)
    {
        var target = ParseTarget(isNamespaceAllowed: false);
        ExpectName("in");
        var iterable = ParseTuple(withCondition: false);
        var condition = SkipName("if") ? ParseExpression() : null;
        bool isRecursive = SkipName("recursive");
        Expect(TokenKind.BlockEnd, "'%}'");
        _numLoops++;
        var body = ParseBody("'for'", "else", "endfor");
        _numLoops--;
        List<Statement> otherwise = [];
        if (SkipName("else"))
            otherwise = ParseBlock("for", "endfor");
        else
            ExpectName("endfor");
        return new For(target, iterable, condition, body, otherwise, isRecursive, line);
    }

    private Statement ParseSet(int line)
    {
        var target = ParseTarget(isNamespaceAllowed: true);
        if (SkipOperator("="))
            return new Set(target, ParseTuple(), line);
        var filter = SkipOperator("|") ? ParseFilterChain(ParseFilter(null, line)) : null;
        return new SetBlock(target, filter, ParseBlock("set", "endset"), line);
    }

    private FilterExpression ParseFilterChain(FilterExpression first)
    {
        var filter = first;
        for (int line = Current.Line; SkipOperator("|"); line = Current.Line)
            filter = ParseFilter(filter, line);
        return filter;
    }

    private With ParseWith(int line)
    {
        List<KeyValuePair<Target, Expression>> variables = [];
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (variables.Count > 0)
                ExpectOperator(",");
            var target = ParseTarget(isNamespaceAllowed: false);
            ExpectOperator("=");
            variables.Add(new(target, ParseExpression()));
        }
        return new With(variables, ParseBlock("with", "endwith"), line);
    }

    private CallBlock ParseCallBlock(int line)
    {
        Func<List<KeyValuePair<string, Expression?>>> parameters = Current.IsOperator("(") ? ParseParameters : () => [];
        Call? call = null;
        var caller = ParseMacro("caller", "call", "endcall", () =>
        {
            var list = parameters();
            call = ParseUnary() as Call ?? throw new JinjaException("expected a call behind 'call'", line);
            return list;
        });
        return new CallBlock(call!, caller, line);
    }

    private MacroDefinition ParseMacro(string name, string opener, string end, Func<List<KeyValuePair<string, Expression?>>> parseHead)
    {
        _macros.Push(([], _numLoops));
        _numLoops = 0;
        var parameters = parseHead();
        var body = ParseBlock(opener, end);
        (var names, _numLoops) = _macros.Pop();
        // What a macro inside uses may be this one's.
        if (_macros.TryPeek(out var outer))
            outer.Names.UnionWith(names);
        return new MacroDefinition(name, parameters, body, Uses("varargs"), Uses("kwargs"), Uses("caller"));

        bool Uses(string special) => names.Contains(special) && !parameters.Exists(parameter => parameter.Key == special);
    }

    private List<KeyValuePair<string, Expression?>> ParseParameters()
    {
        ExpectOperator("(");
        List<KeyValuePair<string, Expression?>> parameters = [];
        while (!SkipOperator(")"))
        {
            if (parameters.Count > 0)
                ExpectOperator(",");
            int line = Current.Line;
            string name = ExpectIdentifier("a parameter's name");
            var value = SkipOperator("=") ? ParseExpression() : null;
            if (value is null && parameters.Count > 0 && parameters[^1].Value is not null)
                throw new JinjaException("non-default argument follows default argument", line);
            if (parameters.Exists(parameter => parameter.Key == name))
                throw new JinjaException($"duplicate argument '{name}' in function definition", line);
            parameters.Add(new(name, value));
        }
        return parameters;
    }

    private Target ParseTarget(bool isNamespaceAllowed)
    {
        List<Target> targets = [];
        bool isTuple = false;
        do
        {
            if (targets.Count > 0 && !Current.IsOperator("(") && (Current.Kind != TokenKind.Name || Current.Text == "in"))
                break;
            targets.Add(ParseSingleTarget(isNamespaceAllowed));
            isTuple |= Current.IsOperator(",");
        }
        while (SkipOperator(","));
        return isTuple ? new TupleTarget(targets) : targets[0];
    }

    private Target ParseSingleTarget(bool isNamespaceAllowed)
    {
        if (SkipOperator("("))
        {
            Enter();
            var inner = ParseTarget(isNamespaceAllowed);
            Leave();
            ExpectOperator(")");
            return inner;
        }
        int line = Current.Line;
        string name = ExpectIdentifier("a variable");
        if (isNamespaceAllowed && SkipOperator("."))
            return new NamespaceTarget(name, ExpectIdentifier("a namespace's member"));
        if (name is "true" or "false" or "none" or "True" or "False" or "None")
            throw new JinjaException($"can't assign to '{name}'", line);
        return new NameTarget(name);
    }
}
