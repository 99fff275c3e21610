using System.Text.RegularExpressions;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Reads the "pre_tokenizer" of a tokenizer.json.</summary>
internal sealed class PreTokenizerReader
{
    private bool _isFirst = true;

    /// <summary>What is done to the text before it is cut.</summary>
    public List<ITextRewriter> Rewriters { get; } = [];

    /// <summary>How it is cut.</summary>
    public List<ITextSplitter> Splitters { get; } = [];

    /// <summary>Whether words are then spelled in bytes.</summary>
    public bool ByteLevel { get; private set; }

    /// <summary>Reads a pre-tokenizer; the steps of a sequence one after another.</summary>
    /// <exception cref="CheckpointException">A step is not supported, alone or where it stands.</exception>
    public void Read(JsonField step)
    {
        string type = step["type"].String();
        if (type == "Sequence")
        {
            foreach (JsonField inner in step["pretokenizers"].Items())
                Read(inner);
            return;
        }
        if (ByteLevel)
            throw step.Error($"type {JsonField.Show(type)} after ByteLevel is not supported");
        switch (type)
        {
            case "Metaspace": ReadMetaspace(step); break;
            case "ByteLevel": ReadByteLevel(step); break;
            case "Split": Splitters.Add(ReadSplit(step)); break;
            case "Digits": Splitters.Add(new DigitsSplitter(step.Bool("individual_digits", absent: false))); break;
            default:
                throw step.Error($"type {JsonField.Show(type)} is not supported; supported are ByteLevel, Digits, Metaspace, Sequence and Split");
        }
        _isFirst = false;
    }

    private void ReadMetaspace(JsonField step)
    {
        // Rewriting a word that another step has cut would have to be done word by word; no known file asks for it.
        if (!_isFirst)
            throw step.Error("Metaspace is supported only as the first step");
        string space = ReadSpace(step);
        Rewriters.Add(new ReplaceRewriter(" ", space));
        string scheme = ReadPrependScheme(step);
        if (scheme != "never")
            Rewriters.Add(new PrependRewriter(space, UnlessPresent: true, OnlyFirst: scheme == "first"));
        if (step.Bool("split", absent: true))
            Splitters.Add(new MetaspaceSplitter(space[0]));
    }

    private void ReadByteLevel(JsonField step)
    {
        ByteLevel = true;
        if (step.Bool("add_prefix_space", absent: true))
        {
            if (!_isFirst)
                throw step.Error("add_prefix_space is supported only in the first step");
            Rewriters.Add(new PrependRewriter(" ", UnlessPresent: true));
        }
        if (step.Bool("use_regex", absent: true))
            Splitters.Add(new RegexSplitter(RegexSplitter.Gpt2Pattern));
    }

    private static RegexSplitter ReadSplit(JsonField step)
    {
        string behavior = step["behavior"].String();
        if (behavior != "Isolated")
            throw step.Error($"behavior {JsonField.Show(behavior)} is not supported; supported is \"Isolated\"");
        // With "Isolated" what matches and what does not are treated alike, so "invert" changes nothing.
        JsonField pattern = step["pattern"];
        string text = pattern.Optional("Regex")?.String() ?? Regex.Escape(pattern["String"].String());
        try
        {
            return new RegexSplitter(text);
        }
        catch (ArgumentException e)
        {
            throw pattern.Error($"the pattern {JsonField.Show(text)} is not supported: {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    /// <summary>The character that a "Metaspace" step writes for a space.</summary>
    public static string ReadSpace(JsonField metaspace)
    {
        string space = metaspace["replacement"].String();
        return space.Length == 1 && !char.IsSurrogate(space[0]) ? space : throw metaspace.Error("replacement must be one character");
    }

    /// <summary>Where a "Metaspace" step puts a space before the text; older files say add_prefix_space instead.</summary>
    public static string ReadPrependScheme(JsonField metaspace)
    {
        if (metaspace.Optional("prepend_scheme") is not { } field)
            return metaspace.Bool("add_prefix_space", absent: true) ? "always" : "never";
        string scheme = field.String();
        return scheme is "always" or "never" or "first" ? scheme : throw field.Error($"{JsonField.Show(scheme)} is none of always, never, first");
    }
}
