using System.Text;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>Writes small SentencePiece models. By default: &lt;unk&gt;, &lt;s&gt;, &lt;/s&gt; and all bytes, as Llama's models begin.</summary>
internal sealed class SentencePieceModelBuilder
{
    private readonly List<byte> _pieces = [];
    private readonly List<byte> _normalizer = [];
    private readonly List<byte> _trainer = [];

    /// <summary>Starts a BPE model.</summary>
    public SentencePieceModelBuilder(bool byteFallback = true, int modelType = 2)
    {
        Piece("<unk>", 0, SentencePieceType.Unknown).Piece("<s>", 0, SentencePieceType.Control).Piece("</s>", 0, SentencePieceType.Control);
        for (int value = 0; byteFallback && value < 256; value++)
            Piece(ByteToken.Name(value), 0, SentencePieceType.Byte);
        Number(_trainer, 3, modelType);
        Number(_trainer, 35, byteFallback ? 1 : 0);
    }

    /// <summary>Adds a piece.</summary>
    public SentencePieceModelBuilder Piece(string text, float score, SentencePieceType type = SentencePieceType.Normal)
    {
        List<byte> message = [];
        Bytes(message, 1, Encoding.UTF8.GetBytes(text));
        message.Add((2 << 3) | 5);
        message.AddRange(BitConverter.GetBytes(score));
        Number(message, 3, (int)type);
        Bytes(_pieces, 1, [.. message]);
        return this;
    }

    /// <summary>Adds pieces whose scores fall by one from piece to piece.</summary>
    public SentencePieceModelBuilder Pieces(params string[] texts)
    {
        for (int i = 0; i < texts.Length; i++)
            Piece(texts[i], -i);
        return this;
    }

    /// <summary>Sets a switch of the normalizer: 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces.</summary>
    public SentencePieceModelBuilder Normalizer(int field, bool value)
    {
        Number(_normalizer, field, value ? 1 : 0);
        return this;
    }

    /// <summary>Sets the character replacements.</summary>
    public SentencePieceModelBuilder CharsMap(byte[] map)
    {
        Bytes(_normalizer, 2, map);
        return this;
    }

    /// <summary>Sets a number of the trainer's settings.</summary>
    public SentencePieceModelBuilder Trainer(int field, int value)
    {
        Number(_trainer, field, value);
        return this;
    }

    /// <summary>The file.</summary>
    public byte[] Build()
    {
        List<byte> file = [.. _pieces];
        Bytes(file, 2, [.. _trainer]);
        Bytes(file, 3, [.. _normalizer]);
        return [.. file];
    }

    private static void Bytes(List<byte> message, int field, byte[] value)
    {
        Varint(message, (field << 3) | 2);
        Varint(message, value.Length);
        message.AddRange(value);
    }

    private static void Number(List<byte> message, int field, int value)
    {
        Varint(message, field << 3);
        Varint(message, value);
    }

    private static void Varint(List<byte> message, int value)
    {
        for (; value > 127; value >>= 7)
            message.Add((byte)(value | 128));
        message.Add((byte)value);
    }
}
