using System.Buffers;
using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Puts characters together from bytes that come one at a time. A byte that belongs to no valid character becomes one U+FFFD, as in SentencePiece
/// and in Hugging Face's byte fallback (and unlike the Unicode standard's advice, which .NET follows).
/// </summary>
internal struct Utf8Assembler
{
    private uint _pending;
    private int _count;

    /// <summary>Takes a byte and writes the characters that are certain now.</summary>
    public void Append(byte value, StringBuilder text)
    {
        _pending |= (uint)value << (8 * _count++);
        Write(text, final: false);
    }

    /// <summary>Writes what is left as invalid.</summary>
    public void Flush(StringBuilder text) => Write(text, final: true);

    private void Write(StringBuilder text, bool final)
    {
        Span<byte> bytes = stackalloc byte[4];
        Span<char> chars = stackalloc char[2];
        while (_count > 0)
        {
            for (int i = 0; i < _count; i++)
                bytes[i] = (byte)(_pending >> (8 * i));
            OperationStatus status = Rune.DecodeFromUtf8(bytes[.._count], out Rune rune, out int consumed);
            if (status == OperationStatus.NeedMoreData && !final)
                return;
            if (status != OperationStatus.Done)
                consumed = 1; // rune is U+FFFD then
            text.Append(chars[..rune.EncodeToUtf16(chars)]);
            _count -= consumed;
            _pending = consumed == 4 ? 0 : _pending >> (8 * consumed);
        }
    }
}
