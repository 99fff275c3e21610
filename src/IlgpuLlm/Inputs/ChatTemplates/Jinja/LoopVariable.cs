namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>The variable <c>loop</c>; a recursive loop's can be called.</summary>
/// <param name="items">What the loop runs over.</param>
/// <param name="depth">How many turns of this loop are around it.</param>
/// <param name="recurse">Runs the loop over something else, at a depth, and returns the text; null: the loop is not recursive.</param>
internal sealed class LoopVariable(IReadOnlyList<object> items, int depth, Func<object, int, string>? recurse) : JinjaFunction
{
    private object? _lastChecked;

    /// <summary>The turn, from 0.</summary>
    public int Index { get; set; }

    /// <inheritdoc/>
    public override string Name => "loop";

    /// <summary>A member; null if there is none of this name.</summary>
    public object? Get(RenderContext context, string name) => name switch
    {
        "index" => Index + 1L,
        "index0" => (long)Index,
        "revindex" => (long)(items.Count - Index),
        "revindex0" => (long)(items.Count - Index - 1),
        "first" => Index == 0,
        "last" => Index == items.Count - 1,
        "length" => (long)items.Count,
        "depth" => depth + 1L,
        "depth0" => (long)depth,
        "previtem" => Index > 0 ? items[Index - 1] : new Undefined("there is no previous item"),
        "nextitem" => Index + 1 < items.Count ? items[Index + 1] : new Undefined("there is no next item"),
        "cycle" => new BuiltinFunction("cycle", (_, arguments) => arguments.Positional.Count == 0
            ? throw new JinjaException("no items for cycling given")
            : arguments.Positional[Index % arguments.Positional.Count]),
        "changed" => new BuiltinFunction("changed", HasChanged),
        _ => null,
    };

    /// <inheritdoc/>
    public override object Invoke(RenderContext context, CallArguments arguments)
    {
        if (recurse is null)
            throw new JinjaException("The loop must have the 'recursive' marker to be called recursively.");
        return recurse(arguments.Bind("loop", 1, "iterable")[0]!, depth + 1);
    }

    private object HasChanged(RenderContext context, CallArguments arguments)
    {
        var values = JinjaList.Tuple([.. arguments.Positional]);
        bool hasChanged = _lastChecked is null || !Operators.AreEqual(context, _lastChecked, values);
        _lastChecked = values;
        return hasChanged;
    }
}
