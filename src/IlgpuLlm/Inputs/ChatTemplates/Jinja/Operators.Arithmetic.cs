namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

internal static partial class Operators
{
    /// <summary>Applies an arithmetic operator.</summary>
    public static object Binary(RenderContext context, string operation, object a, object b)
    {
        if (ToNumber(a) is { } x && ToNumber(b) is { } y)
        {
            try
            {
                return x is long m && y is long n ? Arithmetic(operation, m, n) : Arithmetic(operation, ToDouble(x), ToDouble(y));
            }
            catch (OverflowException)
            {
                throw new JinjaException($"the result of {operation} needs more than 64 bits");
            }
        }
        switch (operation, a, b)
        {
            case ("%", string format, _):
                return PrintfFormat.Format(context, format, b is JinjaList { IsTuple: true } tuple ? tuple.Items : [b], b as JinjaDict);
            case (_, Undefined undefined, _):
                throw undefined.Error();
            case (_, _, Undefined undefined):
                throw undefined.Error();
            case ("+", string s, string t):
                context.ChargeText((long)s.Length + t.Length);
                return s + t;
            case ("+", JinjaList s, JinjaList t) when s.IsTuple == t.IsTuple:
                context.ChargeText((long)s.Items.Count + t.Items.Count);
                return new JinjaList([.. s.Items, .. t.Items], s.IsTuple);
            case ("+", string or JinjaList, _):
                throw new JinjaException($"can only concatenate {TypeName(a)} (not \"{TypeName(b)}\") to {TypeName(a)}");
            case ("*", string or JinjaList, long or bool):
                return Repeat(context, a, ToInteger(b, "the count"));
            case ("*", long or bool, string or JinjaList):
                return Repeat(context, b, ToInteger(a, "the count"));
            default:
                throw new JinjaException($"unsupported operand type(s) for {(operation == "**" ? "** or pow()" : operation)}: '{TypeName(a)}' and '{TypeName(b)}'");
        }
    }

    /// <summary><c>-a</c> or <c>+a</c></summary>
    public static object Sign(object value, bool isMinus) => ToNumber(value) switch
    {
        long n when isMinus => n == long.MinValue ? throw new JinjaException("the result of - needs more than 64 bits") : -n,
        double d when isMinus => -d,
        { } number => number,
        null => throw (value is Undefined undefined ? undefined.Error() : new JinjaException($"bad operand type for unary {(isMinus ? '-' : '+')}: '{TypeName(value)}'")),
    };

    private static object Arithmetic(string operation, long a, long b)
    {
        checked
        {
            switch (operation)
            {
                case "+":
                    return a + b;
                case "-":
                    return a - b;
                case "*":
                    return a * b;
                case "/":
                    return b == 0 ? throw new JinjaException("division by zero") : (double)a / b;
                case "**":
                    return b < 0 ? (object)Power((double)a, b) : Power(a, (ulong)b);
            }
            if (b == 0)
                throw new JinjaException("integer division or modulo by zero");
            // MinValue by -1 is the one overflow, which .NET reports for the remainder too.
            long quotient = b == -1 ? -a : a / b;
            long remainder = b == -1 ? 0 : a % b;
            bool isRoundedUp = remainder != 0 && (remainder < 0) != (b < 0);
            return operation == "//" ? quotient - (isRoundedUp ? 1 : 0) : remainder + (isRoundedUp ? b : 0);
        }
    }

    private static object Arithmetic(string operation, double a, double b)
    {
        switch (operation)
        {
            case "+":
                return a + b;
            case "-":
                return a - b;
            case "*":
                return a * b;
            case "**":
                return Power(a, b);
        }
        if (b == 0)
            throw new JinjaException(operation switch { "/" => "float division by zero", "%" => "float modulo by zero", _ => "float floor division by zero" });
        if (operation == "/")
            return a / b;
        double remainder = a % b;
        if (remainder != 0 && (remainder < 0) != (b < 0))
            remainder += b;
        if (operation == "%")
            return remainder == 0 ? Math.CopySign(0.0, b) : remainder;
        return Math.Round((a - remainder) / b);
    }

    private static long Power(long value, ulong exponent)
    {
        checked
        {
            // Few multiplications, however large the exponent is, for whatever does not overflow.
            if (value is 0 or 1 or -1)
                return exponent == 0 ? 1 : value == -1 && exponent % 2 == 0 ? 1 : value;
            long result = 1;
            for (; exponent > 0; exponent--)
                result *= value;
            return result;
        }
    }

    private static double Power(double value, double exponent)
    {
        if (value == 0 && exponent < 0)
            throw new JinjaException("0.0 cannot be raised to a negative power");
        if (value < 0 && double.IsFinite(exponent) && Math.Floor(exponent) != exponent)
            throw new JinjaException("a negative number raised to a fraction is complex, which is not supported");
        return Math.Pow(value, exponent);
    }

    private static object Repeat(RenderContext context, object value, long count)
    {
        count = Math.Max(0, count);
        if (value is string text)
        {
            context.ChargeText(Product(text.Length, count));
            return string.Concat(Enumerable.Repeat(text, text.Length == 0 ? 0 : (int)count));
        }
        var list = (JinjaList)value;
        context.ChargeText(Product(list.Items.Count, count));
        return new JinjaList([.. Enumerable.Repeat(list.Items, list.Items.Count == 0 ? 0 : (int)count).SelectMany(items => items)], list.IsTuple);
    }

    private static long Product(long length, long count) => (long)Math.Min(long.MaxValue / 2, (double)length * count);
}
