using System.Globalization;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>What Python's operators do with values. This file: truth, iteration, calls, equality and order; Operators.Arithmetic.cs has the rest.</summary>
internal static partial class Operators
{
    /// <summary>The name of a value's type in Python.</summary>
    public static string TypeName(object value) => value switch
    {
        JinjaNone => "NoneType",
        bool => "bool",
        long => "int",
        double => "float",
        string => "str",
        JinjaList list => list.IsTuple ? "tuple" : "list",
        JinjaDict => "dict",
        Undefined => "Undefined",
        JinjaNamespace => "Namespace",
        JinjaGenerator => "generator",
        JinjaRange => "range",
        JinjaView view => view.TypeName,
        Macro => "Macro",
        LoopVariable => "LoopContext",
        _ => "function",
    };

    /// <summary>Whether a condition holds.</summary>
    public static bool IsTrue(object value) => value switch
    {
        bool b => b,
        JinjaNone or Undefined => false,
        long n => n != 0,
        double d => d != 0,
        string text => text.Length > 0,
        JinjaList list => list.Items.Count > 0,
        JinjaDict dict => dict.Count > 0,
        JinjaView view => view.Items.Count > 0,
        JinjaRange range => range.Count > 0,
        _ => true,
    };

    /// <summary>The items that a loop over the value would have.</summary>
    public static IEnumerable<object> Iterate(RenderContext context, object value)
    {
        switch (value)
        {
            case Undefined:
                return [];
            case string text:
                context.Charge(text.Length);
                return PythonText.Characters(text);
            case JinjaList list:
                context.Charge(list.Items.Count);
                return list.Items;
            case JinjaDict dict:
                context.Charge(dict.Count);
                return dict.Keys;
            case JinjaView view:
                context.Charge(view.Items.Count);
                return view.Items;
            case JinjaRange range:
                context.Charge(range.Count);
                return range.Values().Cast<object>();
            case JinjaGenerator generator:
                return generator.Rest();
            default:
                throw new JinjaException($"'{TypeName(value)}' object is not iterable");
        }
    }

    /// <summary>Number of items; null if the value has no length.</summary>
    public static long? Length(RenderContext context, object value)
    {
        switch (value)
        {
            case Undefined:
                return 0;
            case string text:
                context.Charge(text.Length);
                return PythonText.Length(text);
            case JinjaList list:
                return list.Items.Count;
            case JinjaDict dict:
                return dict.Count;
            case JinjaView view:
                return view.Items.Count;
            case JinjaRange range:
                return range.Count;
            default:
                return null;
        }
    }

    /// <summary>Calls a value.</summary>
    public static object Call(RenderContext context, object callee, CallArguments arguments) => callee switch
    {
        JinjaFunction function => context.Nested(() => function.Invoke(context, arguments)),
        Undefined undefined => throw undefined.Error(),
        _ => throw new JinjaException($"'{TypeName(callee)}' object is not callable"),
    };

    /// <summary>Whether two values are equal.</summary>
    public static bool AreEqual(RenderContext context, object a, object b)
    {
        if (ToNumber(a) is { } x && ToNumber(b) is { } y)
            return x is long m && y is long n ? m == n : AreEqualNumbers(x, y);
        switch (a, b)
        {
            case (string s, string t):
                context.Charge(Math.Min(s.Length, t.Length));
                return s == t;
            case (JinjaList s, JinjaList t):
                if (ReferenceEquals(s, t))
                    return true;
                context.Charge(Math.Min(s.Items.Count, t.Items.Count));
                return s.IsTuple == t.IsTuple && s.Items.Count == t.Items.Count
                    && context.Nested(() => s.Items.Zip(t.Items).All(pair => AreEqual(context, pair.First, pair.Second)));
            case (JinjaDict s, JinjaDict t):
                if (ReferenceEquals(s, t))
                    return true;
                context.Charge(Math.Min(s.Count, t.Count));
                return s.Count == t.Count
                    && context.Nested(() => s.Items.All(item => t.Get(item.Key) is { } other && AreEqual(context, item.Value, other)));
            case (JinjaRange s, JinjaRange t):
                return s.Count == t.Count && (s.Count == 0 || (s.Start == t.Start && (s.Count == 1 || s.Step == t.Step)));
            case (Undefined, Undefined):
                return true;
            default:
                return ReferenceEquals(a, b);
        }
    }

    /// <summary>Whether a comparison holds.</summary>
    public static bool Compare(RenderContext context, string operation, object a, object b) => operation switch
    {
        "==" => AreEqual(context, a, b),
        "!=" => !AreEqual(context, a, b),
        "in" => Contains(context, b, a),
        "not in" => !Contains(context, b, a),
        "<" => Order(context, operation, a, b) < 0,
        "<=" => Order(context, operation, a, b) <= 0,
        ">" => Order(context, operation, a, b) > 0,
        _ => Order(context, operation, a, b) >= 0,
    };

    /// <summary>Negative, zero or positive, as a is below, equal to or above b; NaN where they have no order, for which no comparison holds.</summary>
    /// <exception cref="JinjaException">The values cannot be compared.</exception>
    public static double Order(RenderContext context, string operation, object a, object b)
    {
        if (ToNumber(a) is { } x && ToNumber(b) is { } y)
        {
            if (x is long m && y is long n)
                return m.CompareTo(n);
            double u = ToDouble(x), v = ToDouble(y);
            return u < v ? -1 : u > v ? 1 : u == v ? 0 : double.NaN;
        }
        switch (a, b)
        {
            case (Undefined undefined, _):
                throw undefined.Error();
            case (_, Undefined undefined):
                throw undefined.Error();
            case (string s, string t):
                context.Charge(Math.Min(s.Length, t.Length));
                return PythonText.Compare(s, t);
            case (JinjaList s, JinjaList t) when s.IsTuple == t.IsTuple:
                return context.Nested(() => Order(context, operation, s, t));
            default:
                throw new JinjaException($"'{operation}' not supported between instances of '{TypeName(a)}' and '{TypeName(b)}'");
        }
    }

    // The first items that differ decide; equal ones need no order.
    private static double Order(RenderContext context, string operation, JinjaList a, JinjaList b)
    {
        context.Charge(Math.Min(a.Items.Count, b.Items.Count));
        foreach (var (x, y) in a.Items.Zip(b.Items))
        {
            if (!AreEqual(context, x, y))
                return Order(context, operation, x, y);
        }
        return a.Items.Count - b.Items.Count;
    }

    /// <summary>Whether a container has an item.</summary>
    public static bool Contains(RenderContext context, object container, object item)
    {
        switch (container)
        {
            case string text:
                string sought = item as string ?? throw new JinjaException($"'in <string>' requires string as left operand, not {TypeName(item)}");
                context.ChargeSearch(text, sought);
                return text.Contains(sought, StringComparison.Ordinal);
            case JinjaDict dict:
                return dict.Get(item) is not null;
            case long or double or bool or JinjaNone or JinjaFunction or JinjaNamespace:
                throw new JinjaException($"argument of type '{TypeName(container)}' is not iterable");
            default:
                return Iterate(context, container).Any(other => AreEqual(context, other, item));
        }
    }

    /// <summary>The value as a number, if it is one: bool counts as 0 or 1.</summary>
    public static object? ToNumber(object value) => value switch
    {
        long or double => value,
        bool b => b ? 1L : 0L,
        _ => null,
    };

    /// <summary>A number's value as a float.</summary>
    public static double ToDouble(object number) => number is long n ? n : (double)number;

    /// <summary>An argument that must be an integer.</summary>
    public static long ToInteger(object value, string what) => value switch
    {
        long n => n,
        bool b => b ? 1 : 0,
        Undefined undefined => throw undefined.Error(),
        _ => throw new JinjaException($"{what} must be an integer, not '{TypeName(value)}'"),
    };

    /// <summary>An argument that must be a string.</summary>
    public static string ToString(object value, string what) => value switch
    {
        string text => text,
        Undefined undefined => throw undefined.Error(),
        _ => throw new JinjaException($"{what} must be str, not {TypeName(value)}"),
    };

    /// <summary>The value as text, as it is printed.</summary>
    public static string ToText(RenderContext context, object value) => value switch
    {
        string text => text,
        Undefined => "",
        long n => n.ToString(CultureInfo.InvariantCulture),
        _ => Representation.Of(context, value),
    };

    // A long beyond 2^53 and a double: the rounded long may equal what the exact one does not.
    private static bool AreEqualNumbers(object x, object y) =>
        (x, y) switch
        {
            (long n, double d) => IsExactly(d, n),
            (double d, long n) => IsExactly(d, n),
            _ => (double)x == (double)y,
        };

    private static bool IsExactly(double d, long n) => d == n && (Int128)d == n;
}
