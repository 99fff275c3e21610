using System.Text.Json;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>Makes values of JSON.</summary>
internal static class JsonValues
{
    /// <summary>Converts an element; one that is not defined becomes None.</summary>
    /// <exception cref="JinjaException">A number needs more than 64 bits, or a string is not valid Unicode.</exception>
    public static object Convert(RenderContext context, JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                return Text(element.GetString);
            case JsonValueKind.Number:
                string digits = element.GetRawText();
                if (digits.AsSpan().IndexOfAny("eE.") >= 0)
                    return element.GetDouble();
                return element.TryGetInt64(out long number) ? number : throw new JinjaException($"the integer {digits} needs more than 64 bits");
            case JsonValueKind.True:
                return true;
            case JsonValueKind.False:
                return false;
            case JsonValueKind.Array:
                return context.Nested(() => new JinjaList([.. element.EnumerateArray().Select(item => Convert(context, item))]));
            case JsonValueKind.Object:
                return context.Nested(() =>
                {
                    var dict = new JinjaDict(context);
                    foreach (var member in element.EnumerateObject())
                        dict.Set(Text(() => member.Name), Convert(context, member.Value));
                    return dict;
                });
            default:
                return JinjaNone.Value;
        }
    }

    private static string Text(Func<string?> read)
    {
        try
        {
            return read()!;
        }
        catch (InvalidOperationException)
        {
            throw new JinjaException("a string is not valid Unicode: it has half a surrogate pair");
        }
    }
}
