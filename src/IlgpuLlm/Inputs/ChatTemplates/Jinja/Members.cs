namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>Members, items and slices of values. What a member is stands in tables; nothing is looked up by reflection.</summary>
internal static class Members
{
    /// <summary><c>a.b</c>: a method or member, else an item of this name.</summary>
    public static object GetAttribute(RenderContext context, object target, string name)
    {
        if (target is Undefined undefined)
            throw undefined.Error();
        return Attribute(context, target, name) ?? (target is JinjaDict dict ? dict.Get(name) : null) ?? Missing(context, target, name);
    }

    /// <summary><c>a[b]</c>: an item, else a method or member of this name.</summary>
    public static object GetItem(RenderContext context, object target, object index)
    {
        if (target is Undefined undefined)
            throw undefined.Error();
        object? item = target switch
        {
            // What cannot be a key is no key.
            JinjaDict => index is JinjaList { IsTuple: false } or JinjaDict ? null : ((JinjaDict)target).Get(index),
            JinjaList list when index is long or bool => At(list.Items.Count, index) is { } i ? list.Items[(int)i] : null,
            JinjaRange range when index is long or bool => At(range.Count, index) is { } i ? range.Start + i * range.Step : null,
            string text when index is long or bool => Character(context, text, index),
            _ => null,
        };
        return item ?? (index is string name ? Attribute(context, target, name) : null) ?? Missing(context, target, index);
    }

    /// <summary><c>a[start:stop:step]</c>; bounds that are not given are None.</summary>
    public static object Slice(RenderContext context, object target, object start, object stop, object step)
    {
        switch (target)
        {
            case Undefined undefined:
                throw undefined.Error();
            case string text when !PythonText.HasSurrogates(text):
                context.Charge(text.Length);
                return string.Create((int)Indices(text.Length, start, stop, step).Count, (text, start, stop, step), static (span, s) =>
                {
                    int i = 0;
                    foreach (long index in Indices(s.text.Length, s.start, s.stop, s.step).Values())
                        span[i++] = s.text[(int)index];
                });
            case string text:
                context.Charge(text.Length);
                var characters = PythonText.Characters(text).ToList();
                return string.Concat(Indices(characters.Count, start, stop, step).Values().Select(i => characters[(int)i]));
            case JinjaList list:
                context.Charge(list.Items.Count);
                return new JinjaList([.. Indices(list.Items.Count, start, stop, step).Values().Select(i => list.Items[(int)i])], list.IsTuple);
            case JinjaRange range:
                var part = Indices(range.Count, start, stop, step);
                return Slice(range, part);
            case JinjaDict:
                throw new JinjaException("unhashable type: 'slice'");
            default:
                throw new JinjaException($"'{Operators.TypeName(target)}' object is not subscriptable");
        }
    }

    private static JinjaRange Slice(JinjaRange range, JinjaRange part)
    {
        try
        {
            Int128 start = range.Start, step = range.Step;
            return checked(new JinjaRange((long)(start + part.Start * step), (long)(start + part.Stop * step), (long)(step * part.Step)));
        }
        catch (OverflowException)
        {
            throw new JinjaException("the range needs more than 64 bits");
        }
    }

    /// <summary>A member by the path that filters take: <c>details.priority</c>, <c>0.name</c>.</summary>
    public static object GetPath(RenderContext context, object target, object path, object? absent)
    {
        if (path is not string text)
            return Step(target, path);
        foreach (string part in text.Split('.'))
            target = Step(target, long.TryParse(part, out long index) ? index : part);
        return target;

        object Step(object from, object index) => GetItem(context, from, index) is var item && item is Undefined && absent is not null ? absent : item;
    }

    private static object? Attribute(RenderContext context, object target, string name)
    {
        if (name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal) && name.Length > 4)
            return Unsafe(target, name);
        switch (target)
        {
            case string text:
                return StringMethods.All.TryGetValue(name, out var ofString) ? new BuiltinFunction(name, (c, a) => ofString(c, text, a)) : null;
            case JinjaList list:
                return !list.IsTuple && ContainerMethods.ThatChangeLists.Contains(name) ? Unsafe(target, name)
                    : ContainerMethods.OfLists.TryGetValue(name, out var ofList) ? new BuiltinFunction(name, (c, a) => ofList(c, list, a)) : null;
            case JinjaDict dict:
                return ContainerMethods.ThatChangeDicts.Contains(name) ? Unsafe(target, name)
                    : ContainerMethods.OfDicts.TryGetValue(name, out var ofDict) ? new BuiltinFunction(name, (c, a) => ofDict(c, dict, a)) : null;
            case JinjaNamespace space:
                return space.Members.GetValueOrDefault(name);
            case LoopVariable loop:
                return loop.Get(context, name);
            case Cycler cycler:
                return cycler.Get(name);
            case Macro macro when name == "name":
                return macro.Name;
            case double d when name == "is_integer":
                return new BuiltinFunction(name, (_, _) => double.IsInteger(d));
            default:
                return null;
        }
    }

    private static Undefined Unsafe(object target, string name) =>
        new($"access to attribute '{name}' of '{Operators.TypeName(target)}' object is unsafe.");

    private static Undefined Missing(RenderContext context, object target, object name)
    {
        string type = target is JinjaNone ? "None" : $"{Operators.TypeName(target)} object";
        return new(name is string ? $"'{type}' has no attribute {PythonText.Repr((string)name)}" : $"{type} has no element {Representation.Of(context, name)}");
    }

    private static long? At(long count, object index)
    {
        long i = index is bool b ? b ? 1 : 0 : (long)index;
        if (i < 0)
            i += count;
        return i >= 0 && i < count ? i : null;
    }

    private static string? Character(RenderContext context, string text, object index)
    {
        context.Charge(text.Length);
        if (!PythonText.HasSurrogates(text))
            return At(text.Length, index) is { } i ? text[(int)i].ToString() : null;
        return At(PythonText.Length(text), index) is { } j ? PythonText.Characters(text).ElementAt((int)j) : null;
    }

    // The indices that a slice takes, as slice.indices has them.
    private static JinjaRange Indices(long count, object start, object stop, object step)
    {
        long by = step is JinjaNone ? 1 : Bound(step);
        if (by == 0)
            throw new JinjaException("slice step cannot be zero");
        // A step beyond the ends takes one item at most; so it may be cut to where it cannot overflow.
        by = Math.Clamp(by, -count - 1, count + 1);
        long lowest = by < 0 ? -1 : 0, highest = by < 0 ? count - 1 : count;
        return new JinjaRange(Clamp(start, by < 0 ? highest : lowest), Clamp(stop, by < 0 ? lowest : highest), by);

        long Clamp(object bound, long absent)
        {
            if (bound is JinjaNone)
                return absent;
            long value = Bound(bound);
            return Math.Clamp(value < 0 ? value + count : value, lowest, highest);
        }
    }

    private static long Bound(object value) => value switch
    {
        long n => n,
        bool b => b ? 1 : 0,
        Undefined undefined => throw undefined.Error(),
        _ => throw new JinjaException("slice indices must be integers or None or have an __index__ method"),
    };
}
