using System.Globalization;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>The tokens that stand for single bytes in byte-fallback vocabularies: <c>&lt;0x00&gt;</c> to <c>&lt;0xFF&gt;</c>.</summary>
internal static class ByteToken
{
    private static readonly string[] Names = [.. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>")];

    /// <summary>The token of a byte.</summary>
    public static string Name(int value) => Names[value];

    /// <summary>The byte that a token stands for, or -1 if it stands for none.</summary>
    public static int Value(string token) =>
        token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
            && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value) ? value : -1;
}
