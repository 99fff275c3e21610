namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Reads the "post_processor" of a tokenizer.json: the tokens around a text.</summary>
internal static class PostProcessorReader
{
    /// <summary>Reads a post-processor.</summary>
    /// <returns>What it puts around a text, or null where it says nothing about that.</returns>
    /// <exception cref="CheckpointException">It is not supported.</exception>
    public static SequenceTemplate? Read(JsonField processor)
    {
        string type = processor["type"].String();
        switch (type)
        {
            case "ByteLevel":
                return null; // It only moves the tokens' bounds.
            case "TemplateProcessing":
                return ReadTemplate(processor);
            case "Sequence":
                SequenceTemplate? result = null;
                foreach (JsonField inner in processor["processors"].Items())
                {
                    SequenceTemplate? template = Read(inner);
                    if (result is not null && template is not null)
                        throw inner.Error("more than one TemplateProcessing is not supported");
                    result ??= template;
                }
                return result;
            default:
                throw processor.Error($"type {JsonField.Show(type)} is not supported; supported are ByteLevel, Sequence and TemplateProcessing");
        }
    }

    private static SequenceTemplate ReadTemplate(JsonField processor)
    {
        List<int> before = [];
        List<int> after = [];
        int numSequences = 0;
        foreach (JsonField piece in processor["single"].Items())
        {
            if (piece.Optional("Sequence") is not null)
            {
                numSequences++;
                continue;
            }
            JsonField special = piece["SpecialToken"]["id"];
            if (processor["special_tokens"].Optional(special.String()) is not { } token)
                throw special.Error($"{JsonField.Show(special.String())} is not among the special_tokens");
            (numSequences == 0 ? before : after).AddRange(token["ids"].Items().Select(id => id.Int32()));
        }
        if (numSequences != 1)
            throw processor.Error($"single has {numSequences} sequences; it must have 1");
        return new SequenceTemplate(before, after);
    }
}
