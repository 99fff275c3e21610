namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>An expression of a template. Evaluate it by <see cref="RenderContext.Evaluate"/>, which counts steps.</summary>
/// <param name="line">Its line, from 1.</param>
internal abstract class Expression(int line)
{
    /// <summary>The line.</summary>
    public int Line { get; } = line;

    /// <summary>Computes the value.</summary>
    public abstract object Evaluate(RenderContext context, Scope scope);
}

/// <summary>A literal.</summary>
internal sealed class Literal(object value, int line) : Expression(line)
{
    /// <summary>The value.</summary>
    public object Value { get; } = value;

    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) => Value;
}

/// <summary>A variable.</summary>
internal sealed class Name(string text, int line) : Expression(line)
{
    /// <summary>Its name.</summary>
    public string Text { get; } = text;

    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) =>
        scope.Get(Text) ?? (context.Globals.TryGetValue(Text, out object? value) ? value : new Undefined($"'{Text}' is undefined"));
}

/// <summary>A list or a tuple.</summary>
internal sealed class ListExpression(IReadOnlyList<Expression> items, bool isTuple, int line) : Expression(line)
{
    /// <summary>The items.</summary>
    public IReadOnlyList<Expression> Items { get; } = items;

    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope)
    {
        object[] values = new object[Items.Count];
        for (int i = 0; i < values.Length; i++)
            values[i] = context.Evaluate(Items[i], scope);
        return new JinjaList(values, isTuple);
    }
}

/// <summary>A mapping.</summary>
internal sealed class DictExpression(IReadOnlyList<KeyValuePair<Expression, Expression>> items, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope)
    {
        var dict = new JinjaDict(context);
        foreach (var (key, value) in items)
            dict.Set(context.Evaluate(key, scope), context.Evaluate(value, scope));
        return dict;
    }
}

/// <summary><c>a.b</c></summary>
internal sealed class GetAttribute(Expression target, string name, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) => Members.GetAttribute(context, context.Evaluate(target, scope), name);
}

/// <summary><c>a[b]</c></summary>
internal sealed class GetItem(Expression target, Expression index, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) =>
        Members.GetItem(context, context.Evaluate(target, scope), context.Evaluate(index, scope));
}

/// <summary><c>a[start:stop:step]</c></summary>
internal sealed class SliceExpression(Expression target, Expression? start, Expression? stop, Expression? step, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope)
    {
        object value = context.Evaluate(target, scope);
        return Members.Slice(context, value, Bound(start), Bound(stop), Bound(step));

        object Bound(Expression? bound) => bound is null ? JinjaNone.Value : context.Evaluate(bound, scope);
    }
}

/// <summary>The arguments of a call, a filter or a test.</summary>
internal sealed record ArgumentList(IReadOnlyList<Expression> Positional, IReadOnlyList<KeyValuePair<string, Expression>> Named, Expression? Unpacked,
    Expression? UnpackedNamed)
{
    /// <summary>No arguments.</summary>
    public static readonly ArgumentList Empty = new([], [], null, null);

    /// <summary>Computes them.</summary>
    public CallArguments Evaluate(RenderContext context, Scope scope)
    {
        var arguments = new CallArguments();
        foreach (var argument in Positional)
            arguments.Positional.Add(context.Evaluate(argument, scope));
        foreach (var (name, argument) in Named)
            Add(name, context.Evaluate(argument, scope));
        if (Unpacked is not null)
            arguments.Positional.AddRange(Operators.Iterate(context, context.Evaluate(Unpacked, scope)));
        if (UnpackedNamed is not null)
        {
            object named = context.Evaluate(UnpackedNamed, scope);
            foreach (var (key, value) in (named as JinjaDict ?? throw new JinjaException($"argument after ** must be a mapping, not {Operators.TypeName(named)}")).Items)
                Add(key as string ?? throw new JinjaException("keywords must be strings"), value);
        }
        return arguments;

        void Add(string name, object value)
        {
            if (arguments.Named.Exists(pair => pair.Key == name))
                throw new JinjaException($"got multiple values for keyword argument '{name}'");
            arguments.Named.Add(new(name, value));
        }
    }
}

/// <summary><c>f(...)</c></summary>
internal sealed class Call(Expression target, ArgumentList arguments, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) => Evaluate(context, scope, null);

    /// <summary>Calls with a further named argument.</summary>
    public object Evaluate(RenderContext context, Scope scope, object? caller)
    {
        object callee = context.Evaluate(target, scope);
        var values = arguments.Evaluate(context, scope);
        if (caller is not null)
            values.Named.Add(new("caller", caller));
        return Operators.Call(context, callee, values);
    }
}

/// <summary><c>value | name(...)</c></summary>
internal sealed class FilterExpression(Expression? value, string name, Filter filter, ArgumentList arguments, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) =>
        value is null ? throw new JinjaException($"filter '{name}' has no value") : Apply(context, scope, context.Evaluate(value, scope));

    /// <summary>Applies the filter to a text that a block has collected; what it is chained to is applied first.</summary>
    public object Apply(RenderContext context, Scope scope, object input)
    {
        object result = filter(context, input, arguments.Evaluate(context, scope));
        // Escaping, for instance, makes several characters of one.
        if (result is string text)
            context.CheckLength(text.Length);
        return result;
    }

    /// <summary>The filters of a <c>{% filter %}</c> block around the text, which stands where the innermost one has no value.</summary>
    public object ApplyChain(RenderContext context, Scope scope, string text) =>
        Apply(context, scope, value is FilterExpression inner ? inner.ApplyChain(context, scope, text) : text);
}

/// <summary><c>value is name(...)</c></summary>
internal sealed class TestExpression(Expression value, Test test, ArgumentList arguments, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) => test(context, context.Evaluate(value, scope), arguments.Evaluate(context, scope));
}

/// <summary><c>not a</c></summary>
internal sealed class Not(Expression operand, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) => !Operators.IsTrue(context.Evaluate(operand, scope));
}

/// <summary><c>a and b</c>, <c>a or b</c></summary>
internal sealed class Logical(Expression left, Expression right, bool isAnd, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope)
    {
        object value = context.Evaluate(left, scope);
        return Operators.IsTrue(value) == isAnd ? context.Evaluate(right, scope) : value;
    }
}

/// <summary><c>-a</c>, <c>+a</c></summary>
internal sealed class Sign(Expression operand, bool isMinus, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) => Operators.Sign(context.Evaluate(operand, scope), isMinus);
}

/// <summary>An arithmetic operation.</summary>
internal sealed class Binary(string operation, Expression left, Expression right, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) =>
        Operators.Binary(context, operation, context.Evaluate(left, scope), context.Evaluate(right, scope));
}

/// <summary><c>a ~ b ~ c</c></summary>
internal sealed class Concat(IReadOnlyList<Expression> parts, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope)
    {
        string[] texts = new string[parts.Count];
        for (int i = 0; i < texts.Length; i++)
            texts[i] = Operators.ToText(context, context.Evaluate(parts[i], scope));
        context.ChargeText(texts.Sum(text => (long)text.Length));
        return string.Concat(texts);
    }
}

/// <summary><c>a &lt; b &lt;= c</c>: every comparison must hold, each operand is evaluated once.</summary>
internal sealed class Comparison(Expression first, IReadOnlyList<KeyValuePair<string, Expression>> rest, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope)
    {
        object left = context.Evaluate(first, scope);
        foreach (var (operation, operand) in rest)
        {
            object right = context.Evaluate(operand, scope);
            if (!Operators.Compare(context, operation, left, right))
                return false;
            left = right;
        }
        return true;
    }
}

/// <summary><c>a if condition else b</c></summary>
internal sealed class Conditional(Expression condition, Expression then, Expression? otherwise, int line) : Expression(line)
{
    /// <inheritdoc/>
    public override object Evaluate(RenderContext context, Scope scope) => Operators.IsTrue(context.Evaluate(condition, scope))
        ? context.Evaluate(then, scope)
        : otherwise is not null ? context.Evaluate(otherwise, scope) : new Undefined("the inline if-expression evaluated to false and no else section was defined.");
}
