using System.Buffers.Binary;
using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Reads the fields of one protobuf message; allocates nothing but the strings asked for.</summary>
internal ref struct ProtobufReader
{
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly ReadOnlySpan<byte> _message;
    private readonly string _file;
    private int _position;
    private int _wireType;

    /// <summary>Reads a message.</summary>
    /// <param name="message">Its bytes.</param>
    /// <param name="file">The file it came from, for errors.</param>
    public ProtobufReader(ReadOnlySpan<byte> message, string file)
    {
        _message = message;
        _file = file;
    }

    /// <summary>Steps to the next field, whose value must then be read or skipped.</summary>
    /// <returns>False at the message's end.</returns>
    public bool Next(out int field)
    {
        field = 0;
        if (_position == _message.Length)
            return false;
        ulong tag = Varint();
        _wireType = (int)(tag & 7);
        if (tag >> 3 is 0 or > 536_870_911)
            throw Error($"field number {tag >> 3}; valid are 1 to 536870911");
        field = (int)(tag >> 3);
        return true;
    }

    /// <summary>The field's bytes: a nested message, or raw bytes.</summary>
    public ReadOnlySpan<byte> Bytes()
    {
        Expect(2);
        ulong length = Varint();
        return Take(length);
    }

    /// <summary>The field's text.</summary>
    public string String()
    {
        int start = _position;
        try
        {
            return StrictUtf8.GetString(Bytes());
        }
        catch (DecoderFallbackException)
        {
            _position = start;
            throw Error("a string is not valid UTF-8");
        }
    }

    /// <summary>The field's 32-bit integer.</summary>
    public int Int32()
    {
        Expect(0);
        return unchecked((int)Varint());
    }

    /// <summary>The field's truth value.</summary>
    public bool Bool() => Int32() != 0;

    /// <summary>The field's single-precision number.</summary>
    public float Single()
    {
        Expect(5);
        return BinaryPrimitives.ReadSingleLittleEndian(Take(4));
    }

    /// <summary>Passes over a field that is not needed.</summary>
    public void Skip()
    {
        switch (_wireType)
        {
            case 0: Varint(); break;
            case 1: Take(8); break;
            case 2: Bytes(); break;
            case 5: Take(4); break;
            default: throw Error($"wire type {_wireType}; supported are 0, 1, 2 and 5");
        }
    }

    private ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)(_message.Length - _position))
            throw Error($"a field of {length} bytes where {_message.Length - _position} are left");
        ReadOnlySpan<byte> bytes = _message.Slice(_position, (int)length);
        _position += (int)length;
        return bytes;
    }

    private ulong Varint()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            if (_position == _message.Length)
                throw Error("the message ends inside a number");
            byte next = _message[_position++];
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80)
                return value;
        }
        throw Error("a number of more than 10 bytes");
    }

    private readonly void Expect(int wireType)
    {
        if (_wireType != wireType)
            throw Error($"wire type {_wireType} where {wireType} is expected");
    }

    private readonly CheckpointException Error(string problem) =>
        new(_file, $"not a SentencePiece model: {problem} (byte {_position} of a message of {_message.Length} bytes)");
}
