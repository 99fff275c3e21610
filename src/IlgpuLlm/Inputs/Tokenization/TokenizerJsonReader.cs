namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Reads tokenizer.json, the format of Hugging Face's tokenizers library. Whatever is not supported is refused by name: a tokenizer that is nearly
/// right gives a model nonsense to read.
/// </summary>
internal static class TokenizerJsonReader
{
    /// <summary>Reads the file.</summary>
    /// <exception cref="CheckpointException">It is malformed, or has a component that is not supported.</exception>
    public static TokenizerParts Read(JsonField root, string file)
    {
        JsonField modelField = root["model"];
        // Files of early versions have no type; their BPE models are told by their merges.
        string type = modelField.Optional("type")?.String() ?? (modelField.Optional("merges") is null ? "" : "BPE");
        if (type != "BPE")
            throw modelField.Error($"type {JsonField.Show(type)} is not supported; supported is \"BPE\"");
        BpeModel model = ReadModel(modelField, file);
        List<AddedToken> added = [];
        foreach (JsonField token in root.Optional("added_tokens")?.Items() ?? [])
            added.Add(TokenizerConfig.ReadAddedToken(token, token["id"].Int32()));
        PreTokenizerReader preTokenizer = new();
        if (root.Optional("pre_tokenizer") is { } preTokenizerField)
            preTokenizer.Read(preTokenizerField);
        BpeTokenizer tokenizer = new()
        {
            Model = model,
            Normalizers = root.Optional("normalizer") is { } normalizer ? ReadNormalizer(normalizer) : [],
            Rewriters = preTokenizer.Rewriters,
            Splitters = preTokenizer.Splitters,
            ByteLevel = preTokenizer.ByteLevel,
            Decoder = DecoderReader.Read(root["decoder"], preTokenizer.ByteLevel),
        };
        SequenceTemplate? template = root.Optional("post_processor") is { } postProcessor ? PostProcessorReader.Read(postProcessor) : null;
        return new TokenizerParts(file, tokenizer, added, template is { Before: [int bos, ..] } ? bos : null, null, template);
    }

    private static BpeModel ReadModel(JsonField field, string file)
    {
        RefuseText(field, "continuing_subword_prefix");
        RefuseText(field, "end_of_word_suffix");
        Dictionary<string, int> ids = [];
        foreach ((string token, JsonField id) in field["vocab"].Members())
            ids[token] = id.Int32();
        if (ids.Count == 0)
            throw field.Error("the vocab is empty");
        Vocabulary vocabulary = new(file, ids);
        BpeMerges merges = new(field["merges"].Count);
        int rank = 0;
        foreach (JsonField merge in field["merges"].Items())
        {
            (string left, string right) = ReadMerge(merge);
            string merged = left + right;
            merges.Add(Id(left), Id(right), Id(merged), merged, rank++);

            int Id(string token) => ids.TryGetValue(token, out int id) ? id : throw merge.Error($"token {JsonField.Show(token)} is not in the vocab");
        }
        int? unknown = null;
        if (field.Optional("unk_token") is { } unknownField)
        {
            unknown = vocabulary.IdOrNull(unknownField.String())
                ?? throw unknownField.Error($"token {JsonField.Show(unknownField.String())} is not in the vocab");
        }
        return new BpeModel
        {
            Vocabulary = vocabulary,
            Merges = merges,
            UnknownId = unknown,
            FuseUnknown = field.Bool("fuse_unk", absent: false),
            IgnoreMerges = field.Bool("ignore_merges", absent: false),
            ByteIds = field.Bool("byte_fallback", absent: false)
                ? [.. Enumerable.Range(0, 256).Select(value => vocabulary.IdOrNull(ByteToken.Name(value)))]
                : null,
        };
    }

    // "a b", or ["a", "b"] since tokenizers 0.20.
    private static (string Left, string Right) ReadMerge(JsonField merge)
    {
        string[] parts = merge.IsString ? merge.String().Split(' ') : [.. merge.Items().Select(part => part.String())];
        return parts.Length == 2 ? (parts[0], parts[1]) : throw merge.Error($"a merge must have 2 parts, found {parts.Length}");
    }

    private static void RefuseText(JsonField model, string name)
    {
        if (model.Optional(name) is { } field && field.String().Length > 0)
            throw field.Error("is not supported");
    }

    private static List<ITextRewriter> ReadNormalizer(JsonField normalizer)
    {
        string type = normalizer["type"].String();
        return type switch
        {
            "Sequence" => [.. normalizer["normalizers"].Items().SelectMany(ReadNormalizer)],
            "Prepend" => [new PrependRewriter(normalizer["prepend"].String())],
            "Replace" => [ReadReplace(normalizer)],
            _ => throw normalizer.Error($"type {JsonField.Show(type)} is not supported; supported are Prepend, Replace and Sequence"),
        };
    }

    /// <summary>Reads a "Replace" step of a normalizer or a decoder.</summary>
    public static ReplaceRewriter ReadReplace(JsonField replace)
    {
        JsonField pattern = replace["pattern"];
        string text = pattern.Optional("String")?.String() ?? throw pattern.Error("only a \"String\" pattern is supported");
        return text.Length > 0 ? new ReplaceRewriter(text, replace["content"].String()) : throw pattern.Error("the pattern is empty");
    }
}
