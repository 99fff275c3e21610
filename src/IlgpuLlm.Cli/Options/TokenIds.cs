using System.Globalization;

namespace IlgpuLlm.Cli.Options;

/// <summary>Token ids as an argument.</summary>
internal static class TokenIds
{
    /// <summary>Reads <c>1,403,407</c>, with or without the brackets of a JSON array; an empty text is an empty list. Null for anything else.</summary>
    public static int[]? Parse(string text)
    {
        var list = text.AsSpan().Trim();
        if (list.Length >= 2 && list[0] == '[' && list[^1] == ']')
            list = list[1..^1].Trim();
        if (list.IsEmpty)
            return [];
        int[] ids = new int[list.Count(',') + 1];
        int i = 0;
        foreach (var part in list.Split(','))
        {
            if (!int.TryParse(list[part], NumberStyles.Integer, CultureInfo.InvariantCulture, out ids[i++]))
                return null;
        }
        return ids;
    }
}
