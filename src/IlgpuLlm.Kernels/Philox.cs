namespace IlgpuLlm.Kernels;

/// <summary>
/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): random numbers as a function of a key and a counter. A
/// request's numbers depend on its seed, its output position and the token alone, never on what else the engine runs.
/// </summary>
public static class Philox
{
    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57, Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;

    /// <summary>The four 32-bit words for a key and a counter (c0, c1, 0, 0).</summary>
    public static (uint X, uint Y, uint Z, uint W) Generate(ulong key, uint c0, uint c1)
    {
        uint x = c0, y = c1, z = 0, w = 0, k0 = (uint)key, k1 = (uint)(key >> 32);
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = (ulong)Multiplier0 * x, p1 = (ulong)Multiplier1 * z;
            (x, y, z, w) = ((uint)(p1 >> 32) ^ y ^ k0, (uint)p1, (uint)(p0 >> 32) ^ w ^ k1, (uint)p0);
            k0 += Weyl0;
            k1 += Weyl1;
        }
        return (x, y, z, w);
    }

    /// <summary>The random word of one token at one output position of a request: a call of <see cref="Generate"/> makes those of four tokens.</summary>
    public static uint Word(ulong seed, uint outputPosition, int tokenId)
    {
        var (x, y, z, w) = Generate(seed, (uint)tokenId >> 2, outputPosition);
        uint even = (tokenId & 2) == 0 ? x : z, odd = (tokenId & 2) == 0 ? y : w;
        return (tokenId & 1) == 0 ? even : odd;
    }

    /// <summary>
    /// A standard Gumbel variate for one token at one output position: -ln(-ln u), u = (word + 0.5) / 2^32. The token of the largest logit + Gumbel
    /// is a sample of softmax(logits).
    /// </summary>
    public static double Gumbel(ulong seed, int outputPosition, int tokenId) =>
        -Math.Log(-Math.Log((Word(seed, (uint)outputPosition, tokenId) + 0.5) * (1.0 / 4294967296.0)));
}
