using System.Buffers;
using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Decodes byte-level tokens: their letters back to bytes, the bytes as UTF-8, with U+FFFD for each maximal invalid part.</summary>
internal sealed class ByteLevelTextStream : TokenTextStream
{
    private readonly Vocabulary _vocabulary;
    private readonly Decoder _utf8 = Encoding.UTF8.GetDecoder();

    /// <summary>Starts a text.</summary>
    public ByteLevelTextStream(Vocabulary vocabulary) => _vocabulary = vocabulary;

    /// <inheritdoc/>
    public override void Append(int id, StringBuilder text)
    {
        string token = _vocabulary.Token(id) ?? "";
        byte[] bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(token.Length));
        int count = 0;
        foreach (char letter in token)
        {
            int value = ByteAlphabet.Value(letter);
            if (value < 0)
            {
                // An added token with a letter of its own, a space for instance, is plain text.
                count = Encoding.UTF8.GetBytes(token, bytes);
                break;
            }
            bytes[count++] = (byte)value;
        }
        Decode(bytes.AsSpan(0, count), flush: false, text);
        ArrayPool<byte>.Shared.Return(bytes);
    }

    /// <inheritdoc/>
    public override void Flush(StringBuilder text) => Decode([], flush: true, text);

    private void Decode(ReadOnlySpan<byte> bytes, bool flush, StringBuilder text)
    {
        char[] chars = ArrayPool<char>.Shared.Rent(Encoding.UTF8.GetMaxCharCount(bytes.Length));
        text.Append(chars.AsSpan(0, _utf8.GetChars(bytes, chars, flush)));
        ArrayPool<char>.Shared.Return(chars);
    }
}
