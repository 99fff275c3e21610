namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>A statement, or a piece of text. Execute it by <see cref="RenderContext.Execute"/>, which counts steps.</summary>
/// <param name="line">Its line, from 1.</param>
internal abstract class Statement(int line)
{
    /// <summary>The line.</summary>
    public int Line { get; } = line;

    /// <summary>Executes it.</summary>
    public abstract Flow Execute(RenderContext context, Scope scope);
}

/// <summary>Text between tags.</summary>
internal sealed class TextStatement(string text, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope)
    {
        context.Write(text);
        return Flow.Next;
    }
}

/// <summary><c>{{ value }}</c></summary>
internal sealed class Output(Expression value, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope)
    {
        context.Write(Operators.ToText(context, context.Evaluate(value, scope)));
        return Flow.Next;
    }
}

/// <summary><c>{% if %}</c>: the branches' variables are those outside.</summary>
internal sealed class If(IReadOnlyList<(Expression Condition, IReadOnlyList<Statement> Body)> branches, IReadOnlyList<Statement> otherwise, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope)
    {
        foreach (var (condition, body) in branches)
        {
            if (Operators.IsTrue(context.Evaluate(condition, scope)))
                return context.Execute(body, scope);
        }
        return context.Execute(otherwise, scope);
    }
}

/// <summary><c>{% for %}</c>: each turn has variables of its own.</summary>
internal sealed class For(Target target, Expression iterable, Expression? condition, IReadOnlyList<Statement> body, IReadOnlyList<Statement> otherwise,
    bool isRecursive, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope) => Run(context, scope, context.Evaluate(iterable, scope), 0);

    /// <summary>Runs the loop over a value.</summary>
    /// <param name="context">The rendering.</param>
    /// <param name="scope">The scope around the loop.</param>
    /// <param name="value">What is iterated.</param>
    /// <param name="depth">How many turns of this loop are around it.</param>
    /// <returns>What the else branch wants of a loop further out.</returns>
    private Flow Run(RenderContext context, Scope scope, object value, int depth)
    {
        var items = new List<object>();
        foreach (object item in Operators.Iterate(context, value))
        {
            context.Charge(0);
            if (condition is not null)
            {
                var test = new Scope(scope);
                target.Assign(context, test, item);
                if (!Operators.IsTrue(context.Evaluate(condition, test)))
                    continue;
            }
            items.Add(item);
        }
        var loop = new LoopVariable(items, depth, isRecursive ? (inner, next) => context.Collect(() => Run(context, scope, inner, next)) : null);
        for (; loop.Index < items.Count; loop.Index++)
        {
            var turn = new Scope(scope);
            target.Assign(context, turn, items[loop.Index]);
            turn.Set("loop", loop);
            if (context.Execute(body, turn) == Flow.Break)
                break;
        }
        return items.Count == 0 ? context.Execute(otherwise, new Scope(scope)) : Flow.Next;
    }
}

/// <summary><c>{% break %}</c>, <c>{% continue %}</c></summary>
internal sealed class LoopControl(Flow flow, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope) => flow;
}

/// <summary><c>{% set target = value %}</c></summary>
internal sealed class Set(Target target, Expression value, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope)
    {
        target.Assign(context, scope, context.Evaluate(value, scope));
        return Flow.Next;
    }
}

/// <summary><c>{% set target | filter %}...{% endset %}</c></summary>
internal sealed class SetBlock(Target target, FilterExpression? filter, IReadOnlyList<Statement> body, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope)
    {
        var flow = Flow.Next;
        string text = context.Collect(() => flow = context.Execute(body, new Scope(scope)));
        if (flow == Flow.Next)
            target.Assign(context, scope, filter is null ? text : filter.ApplyChain(context, scope, text));
        return flow;
    }
}

/// <summary><c>{% filter f %}...{% endfilter %}</c></summary>
internal sealed class FilterBlock(FilterExpression filter, IReadOnlyList<Statement> body, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope)
    {
        var flow = Flow.Next;
        var inner = new Scope(scope);
        string text = context.Collect(() => flow = context.Execute(body, inner));
        if (flow == Flow.Next)
            context.Write(Operators.ToText(context, filter.ApplyChain(context, inner, text)));
        return flow;
    }
}

/// <summary><c>{% with a = 1 %}...{% endwith %}</c>, and <c>{% generation %}</c>, which marks the assistant's words and has variables of its own.</summary>
internal sealed class With(IReadOnlyList<KeyValuePair<Target, Expression>> variables, IReadOnlyList<Statement> body, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope)
    {
        var inner = new Scope(scope);
        foreach (var (target, value) in variables)
            target.Assign(context, inner, context.Evaluate(value, scope));
        return context.Execute(body, inner);
    }
}

/// <summary><c>{% macro %}</c></summary>
internal sealed class MacroStatement(MacroDefinition definition, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope)
    {
        scope.Set(definition.Name, new Macro(definition, scope));
        return Flow.Next;
    }
}

/// <summary><c>{% call(parameters) macro(...) %}...{% endcall %}</c></summary>
internal sealed class CallBlock(Call call, MacroDefinition caller, int line) : Statement(line)
{
    /// <inheritdoc/>
    public override Flow Execute(RenderContext context, Scope scope)
    {
        context.Write(Operators.ToText(context, call.Evaluate(context, scope, new Macro(caller, scope))));
        return Flow.Next;
    }
}
