namespace IlgpuLlm.Loading;

/// <summary>Makes text that comes from a file fit for a message of one line.</summary>
internal static class MessageText
{
    private const int MaxLength = 100;

    /// <summary>The name in quotes, without control characters and cut to a length that a terminal line holds.</summary>
    public static string Quote(string name)
    {
        string shown = name.Length <= MaxLength ? name : name[..MaxLength] + "...";
        return $"\"{string.Concat(shown.Select(c => char.IsControl(c) ? '?' : c))}\"";
    }
}
