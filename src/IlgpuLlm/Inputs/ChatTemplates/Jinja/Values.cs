namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

// A value is one of these, a bool, a long, a double or a string; never null.

/// <summary>Python's None.</summary>
internal sealed class JinjaNone
{
    /// <summary>The only one.</summary>
    public static readonly JinjaNone Value = new();

    private JinjaNone()
    {
    }
}

/// <summary>A name or member that does not exist: empty when printed or iterated, an error in almost everything else.</summary>
/// <param name="problem">The message of that error.</param>
internal sealed class Undefined(string problem)
{
    /// <summary>The message.</summary>
    public string Problem { get; } = problem;

    /// <summary>The error of using it.</summary>
    public JinjaException Error() => new(Problem);
}

/// <summary>A list or a tuple.</summary>
/// <param name="items">Its items, which nobody changes any more.</param>
/// <param name="isTuple">Whether it is a tuple, which is printed otherwise and never equals a list.</param>
internal sealed class JinjaList(IReadOnlyList<object> items, bool isTuple = false)
{
    /// <summary>The items.</summary>
    public IReadOnlyList<object> Items { get; } = items;

    /// <summary>Whether it is a tuple.</summary>
    public bool IsTuple { get; } = isTuple;

    /// <summary>Makes a tuple.</summary>
    public static JinjaList Tuple(params object[] items) => new(items, isTuple: true);
}

/// <summary>A mapping in the order of insertion.</summary>
internal sealed class JinjaDict(RenderContext context)
{
    private readonly OrderedDictionary<object, object> _items = new(new KeyComparer(context));

    /// <summary>Number of members.</summary>
    public int Count => _items.Count;

    /// <summary>The keys.</summary>
    public IEnumerable<object> Keys => _items.Keys;

    /// <summary>The members.</summary>
    public IEnumerable<KeyValuePair<object, object>> Items => _items;

    /// <summary>Looks a member up; null if there is none.</summary>
    public object? Get(object key) => _items.TryGetValue(key, out object? value) ? value : null;

    /// <summary>Sets a member, while the mapping is built.</summary>
    public void Set(object key, object value) => _items[key] = value;

    private sealed class KeyComparer(RenderContext context) : IEqualityComparer<object>
    {
        // Many keys may have one hash, and each look-up then compares with all of them.
        public new bool Equals(object? x, object? y)
        {
            context.Charge(0);
            return Operators.AreEqual(context, x!, y!);
        }

        // Equal values have equal hashes: 1, 1.0 and True are one key.
        public int GetHashCode(object value) => value switch
        {
            bool b => (b ? 1.0 : 0.0).GetHashCode(),
            long n => ((double)n).GetHashCode(),
            string or double or JinjaNone => value.GetHashCode(),
            JinjaList { IsTuple: true } tuple => context.Nested(() => tuple.Items.Aggregate(17, (hash, item) => HashCode.Combine(hash, GetHashCode(item)))),
            JinjaList or JinjaDict => throw new JinjaException($"unhashable type: '{Operators.TypeName(value)}'"),
            Undefined => 1,
            _ => value.GetHashCode(),
        };
    }
}

/// <summary>What <c>namespace()</c> makes: the only thing whose members a template may set.</summary>
internal sealed class JinjaNamespace
{
    /// <summary>The members.</summary>
    public Dictionary<string, object> Members { get; } = [];
}

/// <summary>Values that can be walked through once, made as they are asked for.</summary>
internal sealed class JinjaGenerator(IEnumerable<object> values)
{
    private readonly IEnumerator<object> _values = values.GetEnumerator();

    /// <summary>The values that are left.</summary>
    public IEnumerable<object> Rest()
    {
        while (_values.MoveNext())
            yield return _values.Current;
    }
}

/// <summary>What <c>range()</c> makes.</summary>
internal sealed record JinjaRange(long Start, long Stop, long Step)
{
    /// <summary>Number of values.</summary>
    public long Count => Step > 0 ? (Stop > Start ? (long)(((ulong)Stop - (ulong)Start - 1) / (ulong)Step) + 1 : 0)
        : (Start > Stop ? (long)(((ulong)Start - (ulong)Stop - 1) / (0UL - (ulong)Step)) + 1 : 0);

    /// <summary>The values.</summary>
    public IEnumerable<long> Values()
    {
        for (long i = 0, count = Count; i < count; i++)
            yield return Start + i * Step;
    }
}

/// <summary>What <c>keys()</c>, <c>values()</c> and <c>items()</c> give.</summary>
internal sealed record JinjaView(string TypeName, IReadOnlyList<object> Items);

/// <summary>What can be called.</summary>
internal abstract class JinjaFunction
{
    /// <summary>Its name, for messages.</summary>
    public abstract string Name { get; }

    /// <summary>Calls it.</summary>
    public abstract object Invoke(RenderContext context, CallArguments arguments);
}

/// <summary>A function that is not written in the template.</summary>
internal sealed class BuiltinFunction(string name, Func<RenderContext, CallArguments, object> body) : JinjaFunction
{
    /// <inheritdoc/>
    public override string Name => name;

    /// <inheritdoc/>
    public override object Invoke(RenderContext context, CallArguments arguments) => body(context, arguments);
}
