using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace IlgpuLlm.Cli.Options;

/// <summary>Options with strict parsers: the library's own take 1,5 for 15, and true after a flag for the flag's value.</summary>
internal static class OptionFactory
{
    /// <summary>A flag that takes no value.</summary>
    public static Option<bool> Flag(string name, string description) => new(name) { Description = description, Arity = ArgumentArity.Zero };

    /// <summary>A text.</summary>
    public static Option<string?> Text(string name, string helpName, string description) =>
        new(name) { Description = description, HelpName = helpName };

    /// <summary>A text that can be given several times, once a value.</summary>
    public static Option<string[]> Texts(string name, string helpName, string description) =>
        new(name) { Description = description, HelpName = helpName };

    /// <summary>A number in invariant culture; null where the option is not given.</summary>
    public static Option<T?> Number<T>(string name, string helpName, string description)
        where T : struct, INumber<T>
    {
        bool isInteger = T.IsInteger(T.One / (T.One + T.One));
        return Parsed<T>(name, helpName, description, isInteger ? "a whole number" : "a number",
            text => T.TryParse(text, isInteger ? NumberStyles.AllowLeadingSign : NumberStyles.Float, CultureInfo.InvariantCulture, out var value) ? value : null);
    }

    /// <summary>A list of numbers, such as 1,8,32; null where the option is not given.</summary>
    public static Option<NumberList<T>?> Numbers<T>(string name, string description)
        where T : struct, INumber<T> => new(name)
        {
            Description = description,
            HelpName = "LIST",
            CustomParser = result =>
            {
                var list = NumberList<T>.Parse(result.Tokens[0].Value);
                if (list is null)
                    result.AddError($"{name}: '{result.Tokens[0].Value}' is not a list of numbers such as 1,8,32");
                return list;
            },
        };

    /// <summary>Gives an option further names.</summary>
    public static Option<T> WithAliases<T>(this Option<T> option, params string[] aliases)
    {
        foreach (string alias in aliases)
            option.Aliases.Add(alias);
        return option;
    }

    /// <summary>A size in bytes, such as 2GiB.</summary>
    public static Option<long?> Bytes(string name, string description) =>
        Parsed(name, "SIZE", description, "a size such as 2GiB, 512MiB or a number of bytes", ByteSize.Parse);

    /// <summary>Token ids, a comma-separated list a value; the option can be given several times.</summary>
    public static Option<int[][]> TokenIdLists(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "IDS",
        CustomParser = result => [.. result.Tokens.Select(token => ParseIds(name, token.Value, result))],
    };

    private static Option<T?> Parsed<T>(string name, string helpName, string description, string expected, Func<string, T?> parse)
        where T : struct => new(name)
        {
            Description = description,
            HelpName = helpName,
            CustomParser = result =>
            {
                string text = result.Tokens[0].Value;
                var value = parse(text);
                if (value is null)
                    result.AddError($"{name}: '{text}' is not {expected}");
                return value;
            },
        };

    private static int[] ParseIds(string name, string text, ArgumentResult result)
    {
        if (TokenIds.Parse(text) is { } ids)
            return ids;
        result.AddError($"{name}: '{text}' is not a list of token ids such as 1,403,407");
        return [];
    }
}

/// <summary>Numbers as an argument; not an array, which the parser would make empty where the option is not given.</summary>
internal sealed record NumberList<T>(IReadOnlyList<T> Values)
    where T : struct, INumber<T>
{
    /// <summary>Reads <c>1,8,32</c>; an empty text is an empty list. Null for anything else.</summary>
    public static NumberList<T>? Parse(string text)
    {
        List<T> values = [];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!T.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out var value))
                return null;
            values.Add(value);
        }
        return new NumberList<T>(values);
    }
}
