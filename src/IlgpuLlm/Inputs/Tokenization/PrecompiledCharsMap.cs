using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// SentencePiece's character replacements (normalizer_spec.precompiled_charsmap): a double-array trie from UTF-8 strings to offsets into a block of
/// zero-terminated replacements. Layout: the trie's size in bytes (32 bits), the trie, the block. A unit of the trie is 32 bits as in Darts-clone:
/// bits 0-7 the label and bit 31 "this is a value", bit 8 "a value hangs below", bits 10-30 the offset, shifted left by 8 more if bit 9 is set.
/// </summary>
internal sealed class PrecompiledCharsMap
{
    private readonly uint[] _units;
    private readonly byte[] _replacements;

    private PrecompiledCharsMap(uint[] units, byte[] replacements) => (_units, _replacements) = (units, replacements);

    /// <summary>Reads a map.</summary>
    /// <exception cref="CheckpointException">The sizes do not fit.</exception>
    public static PrecompiledCharsMap Read(ReadOnlySpan<byte> blob, string file)
    {
        uint trieSize = blob.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(blob) : 0;
        if (trieSize is 0 || trieSize % 4 != 0 || trieSize > blob.Length - 4)
            throw new CheckpointException(file, $"precompiled_charsmap: a trie of {trieSize} bytes in a map of {blob.Length} bytes");
        uint[] units = new uint[trieSize / 4];
        blob.Slice(4, (int)trieSize).CopyTo(MemoryMarshal.AsBytes(units.AsSpan()));
        if (!BitConverter.IsLittleEndian)
            BinaryPrimitives.ReverseEndianness(units, units);
        return new PrecompiledCharsMap(units, blob[(4 + (int)trieSize)..].ToArray());
    }

    /// <summary>Finds the longest string that the text starts with and that has a replacement.</summary>
    /// <param name="utf8">The text.</param>
    /// <param name="consumed">The number of bytes to replace.</param>
    /// <param name="replacement">What to put in their place.</param>
    public bool TryMatch(ReadOnlySpan<byte> utf8, out int consumed, out string replacement)
    {
        consumed = 0;
        replacement = "";
        uint value = 0;
        uint position = Offset(_units[0]);
        for (int i = 0; i < utf8.Length; i++)
        {
            position ^= utf8[i];
            if (position >= _units.Length || (_units[position] & 0x8000_00FF) != utf8[i])
                break;
            uint unit = _units[position];
            position ^= Offset(unit);
            bool endsInsideCharacter = i + 1 < utf8.Length && (utf8[i + 1] & 0xC0) == 0x80;
            if ((unit & 0x100) == 0 || position >= _units.Length || endsInsideCharacter)
                continue;
            value = _units[position] & 0x7FFF_FFFF;
            consumed = i + 1;
        }
        if (consumed == 0 || value >= _replacements.Length)
            return false;
        ReadOnlySpan<byte> tail = _replacements.AsSpan((int)value);
        int end = tail.IndexOf((byte)0);
        replacement = Encoding.UTF8.GetString(end < 0 ? tail : tail[..end]);
        return true;
    }

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & 0x200) >> 6);
}
