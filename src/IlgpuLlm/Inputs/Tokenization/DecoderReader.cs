namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Reads the "decoder" of a tokenizer.json.</summary>
internal static class DecoderReader
{
    private const string Supported = "ByteFallback, ByteLevel, Fuse, Metaspace, Replace, Sequence and Strip";

    /// <summary>Reads a decoder.</summary>
    /// <param name="decoder">The field.</param>
    /// <param name="byteLevel">Whether the vocabulary is byte-level: then the decoder must be too, and the other way round.</param>
    /// <exception cref="CheckpointException">It is not supported.</exception>
    public static DecoderOptions Read(JsonField decoder, bool byteLevel)
    {
        List<JsonField> steps = [.. Steps(decoder)];
        bool isByteLevel = steps is [JsonField only] && only["type"].String() == "ByteLevel";
        if (isByteLevel != byteLevel)
            throw decoder.Error($"{(byteLevel ? "not " : "")}ByteLevel, unlike the pre_tokenizer: both must be or neither");
        return isByteLevel ? new DecoderOptions() : ReadSteps(steps);
    }

    private static DecoderOptions ReadSteps(List<JsonField> steps)
    {
        DecoderOptions options = new();
        bool isFused = false;
        foreach (JsonField step in steps)
        {
            string type = step["type"].String();
            // Text is written as tokens come, which needs the steps in this order; all known files have it.
            bool inOrder = type switch
            {
                "Replace" or "Metaspace" => !isFused && !options.ByteFallback,
                "ByteFallback" => !isFused,
                "Fuse" => true,
                "Strip" => isFused && options.StripStart == 0,
                _ => throw step.Error($"type {JsonField.Show(type)} is not supported; supported are {Supported}"),
            };
            if (!inOrder)
                throw step.Error($"{type} is not supported at this place of the sequence; the order is Replace, ByteFallback, Fuse, Strip");
            isFused |= type == "Fuse";
            options = type switch
            {
                "Replace" => options with { Replacements = [.. options.Replacements, TokenizerJsonReader.ReadReplace(step)] },
                "Metaspace" => ReadMetaspace(step, options),
                "ByteFallback" => options with { ByteFallback = true },
                "Strip" => ReadStrip(step, options),
                _ => options,
            };
        }
        return options;
    }

    private static DecoderOptions ReadMetaspace(JsonField step, DecoderOptions options)
    {
        if (options.Replacements.Count > 0)
            throw step.Error("Metaspace after another replacement is not supported");
        return options with
        {
            Replacements = [new ReplaceRewriter(PreTokenizerReader.ReadSpace(step), " ")],
            DropLeadingSpaces = PreTokenizerReader.ReadPrependScheme(step) != "never",
        };
    }

    private static DecoderOptions ReadStrip(JsonField step, DecoderOptions options)
    {
        string content = step["content"].String();
        int start = step["start"].Int32();
        int stop = step["stop"].Int32();
        if (content.Length != 1 || start < 0 || stop != 0)
            throw step.Error($"content {JsonField.Show(content)}, start {start}, stop {stop}; supported are one character, start from 0, stop 0");
        return options with { StripContent = content[0], StripStart = start };
    }

    private static IEnumerable<JsonField> Steps(JsonField decoder) =>
        decoder["type"].String() == "Sequence" ? decoder["decoders"].Items().SelectMany(Steps) : [decoder];
}
