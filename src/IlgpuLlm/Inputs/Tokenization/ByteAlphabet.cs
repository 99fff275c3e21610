namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// The alphabet in which byte-level BPE writes bytes (GPT-2's): printable Latin-1 characters stand for themselves, the other 68 bytes are
/// U+0100 and following, in order.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly char[] Letters = MakeLetters();
    private static readonly short[] Bytes = MakeBytes();

    /// <summary>The character for a byte.</summary>
    public static char Letter(byte value) => Letters[value];

    /// <summary>Writes bytes in the alphabet, one character each.</summary>
    public static void Spell(ReadOnlySpan<byte> bytes, Span<char> letters)
    {
        for (int i = 0; i < bytes.Length; i++)
            letters[i] = Letters[bytes[i]];
    }

    /// <summary>The byte for a character, or -1 if it is not in the alphabet.</summary>
    public static int Value(char letter) => letter < Bytes.Length ? Bytes[letter] : -1;

    private static char[] MakeLetters()
    {
        char[] letters = new char[256];
        char next = '\u0100';
        for (int value = 0; value < 256; value++)
        {
            bool printable = value is (>= 0x21 and <= 0x7E) or (>= 0xA1 and <= 0xAC) or >= 0xAE;
            letters[value] = printable ? (char)value : next++;
        }
        return letters;
    }

    private static short[] MakeBytes()
    {
        short[] bytes = new short[Letters.Max() + 1];
        Array.Fill(bytes, (short)-1);
        for (int value = 0; value < 256; value++)
            bytes[Letters[value]] = (short)value;
        return bytes;
    }
}
