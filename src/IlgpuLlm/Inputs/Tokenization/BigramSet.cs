namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// The pairs of neighbouring characters inside a set of tokens. Where a text has a pair that is in no token, no merge can ever reach across, so the
/// text may be encoded piece by piece: a heap of one word's merges stays in the cache, that of a megabyte does not (4 times slower).
/// </summary>
internal sealed class BigramSet
{
    private readonly HashSet<uint> _pairs = [];

    /// <summary>Adds the pairs of a token.</summary>
    public void AddAll(string token)
    {
        for (int i = 1; i < token.Length; i++)
            _pairs.Add(Pair(token[i - 1], token[i]));
    }

    /// <summary>Whether a token has these two characters side by side.</summary>
    public bool Contains(char left, char right) => _pairs.Contains(Pair(left, right));

    private static uint Pair(char left, char right) => ((uint)left << 16) | right;
}
