using System.Globalization;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Reads tokenizer.model, a protobuf file whose messages and field numbers are those of SentencePiece's sentencepiece_model.proto
/// (https://github.com/google/sentencepiece).
/// </summary>
internal static class SentencePieceModelReader
{
    private const int BpeModelType = 2;

    /// <summary>Reads a model.</summary>
    /// <exception cref="CheckpointException">The bytes are no SentencePiece model, or one of a kind that is not supported.</exception>
    public static SentencePieceModel Read(ReadOnlySpan<byte> bytes, string file)
    {
        List<SentencePiece> pieces = [];
        var trainer = new TrainerSpec();
        var normalizer = new NormalizerSpec();
        var reader = new ProtobufReader(bytes, file);
        while (reader.Next(out int field))
        {
            switch (field)
            {
                case 1: pieces.Add(ReadPiece(reader.Bytes(), file)); break;
                case 2: ReadTrainer(reader.Bytes(), file, ref trainer); break;
                case 3: ReadNormalizer(reader.Bytes(), file, ref normalizer); break;
                case 5: RefuseDenormalizer(reader.Bytes(), file); break;
                default: reader.Skip(); break;
            }
        }
        return Build(file, pieces, trainer, normalizer);
    }

    private static SentencePieceModel Build(string file, List<SentencePiece> pieces, TrainerSpec trainer, NormalizerSpec normalizer)
    {
        if (pieces.Count == 0)
            throw new CheckpointException(file, "not a SentencePiece model: it has no pieces");
        if (trainer.ModelType != BpeModelType)
            throw new CheckpointException(file, $"model_type {TypeName(trainer.ModelType)} is not supported; supported is 2 (BPE)");
        if (trainer.TreatWhitespaceAsSuffix)
            throw new CheckpointException(file, "treat_whitespace_as_suffix is not supported");
        Dictionary<string, int> ids = new(pieces.Count);
        int unknownId = -1;
        for (int id = 0; id < pieces.Count; id++)
        {
            if (!ids.TryAdd(pieces[id].Text, id))
                throw new CheckpointException(file, $"pieces {ids[pieces[id].Text]} and {id} are both {JsonField.Show(pieces[id].Text)}");
            if (pieces[id].Type != SentencePieceType.Unknown)
                continue;
            if (unknownId >= 0)
                throw new CheckpointException(file, $"pieces {unknownId} and {id} are both of type UNKNOWN; there must be one");
            unknownId = id;
        }
        if (unknownId < 0)
            throw new CheckpointException(file, "no piece is of type UNKNOWN; there must be one");
        for (int value = 0; trainer.ByteFallback && value < 256; value++)
        {
            if (!ids.TryGetValue(ByteToken.Name(value), out int id) || pieces[id].Type != SentencePieceType.Byte)
                throw new CheckpointException(file, $"byte_fallback is set, but the piece {ByteToken.Name(value)} of type BYTE is missing");
        }
        return new SentencePieceModel
        {
            File = file,
            Pieces = pieces,
            Vocabulary = new Vocabulary(file, ids),
            UnknownId = unknownId,
            BosId = Control(pieces, trainer.BosId),
            EosId = Control(pieces, trainer.EosId),
            ByteFallback = trainer.ByteFallback,
            UnknownSurface = trainer.UnknownSurface,
            AddDummyPrefix = normalizer.AddDummyPrefix,
            RemoveExtraWhitespaces = normalizer.RemoveExtraWhitespaces,
            EscapeWhitespaces = normalizer.EscapeWhitespaces,
            CharsMap = normalizer.CharsMap,
        };
    }

    private static SentencePiece ReadPiece(ReadOnlySpan<byte> message, string file)
    {
        string text = "";
        float score = 0;
        int type = (int)SentencePieceType.Normal;
        var reader = new ProtobufReader(message, file);
        while (reader.Next(out int field))
        {
            switch (field)
            {
                case 1: text = reader.String(); break;
                case 2: score = reader.Single(); break;
                case 3: type = reader.Int32(); break;
                default: reader.Skip(); break;
            }
        }
        if (text.Length == 0)
            throw new CheckpointException(file, "a piece is empty");
        if (float.IsNaN(score))
            throw new CheckpointException(file, $"the score of piece {JsonField.Show(text)} is NaN");
        if (!Enum.IsDefined((SentencePieceType)type))
            throw new CheckpointException(file, $"the type of piece {JsonField.Show(text)} is {type}; valid are 1 to 6");
        if (type == (int)SentencePieceType.Byte && ByteToken.Value(text) < 0)
            throw new CheckpointException(file, $"the piece {JsonField.Show(text)} is of type BYTE, but not written <0x00> to <0xFF>");
        return new SentencePiece(text, score, (SentencePieceType)type);
    }

    private static void ReadTrainer(ReadOnlySpan<byte> message, string file, ref TrainerSpec trainer)
    {
        var reader = new ProtobufReader(message, file);
        while (reader.Next(out int field))
        {
            switch (field)
            {
                case 3: trainer.ModelType = reader.Int32(); break;
                case 24: trainer.TreatWhitespaceAsSuffix = reader.Bool(); break;
                case 35: trainer.ByteFallback = reader.Bool(); break;
                case 41: trainer.BosId = reader.Int32(); break;
                case 42: trainer.EosId = reader.Int32(); break;
                case 44: trainer.UnknownSurface = reader.String(); break;
                default: reader.Skip(); break;
            }
        }
    }

    private static void ReadNormalizer(ReadOnlySpan<byte> message, string file, ref NormalizerSpec normalizer)
    {
        var reader = new ProtobufReader(message, file);
        while (reader.Next(out int field))
        {
            switch (field)
            {
                case 2:
                    ReadOnlySpan<byte> charsMap = reader.Bytes();
                    normalizer.CharsMap = charsMap.IsEmpty ? null : PrecompiledCharsMap.Read(charsMap, file);
                    break;
                case 3: normalizer.AddDummyPrefix = reader.Bool(); break;
                case 4: normalizer.RemoveExtraWhitespaces = reader.Bool(); break;
                case 5: normalizer.EscapeWhitespaces = reader.Bool(); break;
                default: reader.Skip(); break;
            }
        }
    }

    private static void RefuseDenormalizer(ReadOnlySpan<byte> message, string file)
    {
        var normalizer = new NormalizerSpec();
        ReadNormalizer(message, file, ref normalizer);
        if (normalizer.CharsMap is not null)
            throw new CheckpointException(file, "denormalizer_spec: a precompiled_charsmap is not supported there");
    }

    private static int? Control(List<SentencePiece> pieces, int id) =>
        id >= 0 && id < pieces.Count && pieces[id].Type == SentencePieceType.Control ? id : null;

    private static string TypeName(int modelType) => modelType switch
    {
        1 => "1 (Unigram)",
        3 => "3 (word)",
        4 => "4 (char)",
        _ => modelType.ToString(CultureInfo.InvariantCulture),
    };

    // The initial values are the defaults of the file format.
    private struct TrainerSpec()
    {
        public int ModelType = 1;
        public bool TreatWhitespaceAsSuffix;
        public bool ByteFallback;
        public int BosId = 1;
        public int EosId = 2;
        public string UnknownSurface = " \u2047 ";
    }

    private struct NormalizerSpec()
    {
        public PrecompiledCharsMap? CharsMap;
        public bool AddDummyPrefix = true;
        public bool RemoveExtraWhitespaces = true;
        public bool EscapeWhitespaces = true;
    }
}
