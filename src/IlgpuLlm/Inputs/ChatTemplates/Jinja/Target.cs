namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>What a value is assigned to.</summary>
internal abstract class Target
{
    /// <summary>Assigns.</summary>
    public abstract void Assign(RenderContext context, Scope scope, object value);
}

/// <summary>A variable.</summary>
internal sealed class NameTarget(string name) : Target
{
    /// <inheritdoc/>
    public override void Assign(RenderContext context, Scope scope, object value) => scope.Set(name, value);
}

/// <summary>A namespace's member: <c>ns.name</c>.</summary>
internal sealed class NamespaceTarget(string variable, string name) : Target
{
    /// <inheritdoc/>
    public override void Assign(RenderContext context, Scope scope, object value)
    {
        if (scope.Get(variable) is not JinjaNamespace target)
            throw new JinjaException($"cannot assign attribute on non-namespace object: '{variable}.{name}'");
        target.Members[name] = value;
    }
}

/// <summary>Several targets that a list is spread over.</summary>
internal sealed class TupleTarget(IReadOnlyList<Target> targets) : Target
{
    /// <inheritdoc/>
    public override void Assign(RenderContext context, Scope scope, object value)
    {
        var values = Operators.Iterate(context, value).Take(targets.Count + 1).ToList();
        if (values.Count > targets.Count)
            throw new JinjaException($"too many values to unpack (expected {targets.Count})");
        if (values.Count < targets.Count)
            throw new JinjaException($"not enough values to unpack (expected {targets.Count}, got {values.Count})");
        for (int i = 0; i < values.Count; i++)
            targets[i].Assign(context, scope, values[i]);
    }
}
