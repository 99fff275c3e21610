namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>What tokenizer_config.json says, as far as it matters here. Null stands for "not said".</summary>
internal sealed record TokenizerConfig
{
    /// <summary>The file, for errors.</summary>
    public string File { get; private init; } = "tokenizer_config.json";

    /// <summary>The text of the beginning-of-sequence token.</summary>
    public string? BosToken { get; private init; }

    /// <summary>The text of the end-of-sequence token.</summary>
    public string? EosToken { get; private init; }

    /// <summary>Whether BOS is put before an encoded text.</summary>
    public bool? AddBosToken { get; private init; }

    /// <summary>Whether EOS is put after it.</summary>
    public bool? AddEosToken { get; private init; }

    /// <summary>Whether a space is put before every section between special tokens, not only before the first.</summary>
    public bool Legacy { get; private init; } = true;

    /// <summary>The added tokens with their ids and flags.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; private init; } = [];

    /// <summary>The texts of all tokens that are special by their role (bos_token, pad_token, additional_special_tokens and so on).</summary>
    public IReadOnlyList<string> SpecialTokens { get; private init; } = [];

    /// <summary>The texts of the tokens by their role: <c>bos_token</c>, <c>eos_token</c> and so on.</summary>
    public IReadOnlyDictionary<string, string> TokensByRole { get; private init; } = new Dictionary<string, string>();

    /// <summary>The texts of additional_special_tokens.</summary>
    public IReadOnlyList<string> AdditionalSpecialTokens { get; private init; } = [];

    /// <summary>The chat templates by name; a template without a name is <c>default</c>.</summary>
    public IReadOnlyDictionary<string, string> ChatTemplates { get; init; } = new Dictionary<string, string>();

    private static readonly string[] Roles = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    /// <summary>Reads the file.</summary>
    /// <exception cref="CheckpointException">It is malformed.</exception>
    public static TokenizerConfig Read(JsonField root, string file)
    {
        Dictionary<string, string> roles = [];
        foreach (string role in Roles)
        {
            if (TokenText(root, role) is { } text)
                roles.Add(role, text);
        }
        List<string> additional = [.. root.Optional("additional_special_tokens")?.Items().Select(TokenText) ?? []];
        List<AddedToken> added = [];
        foreach ((string key, JsonField value) in root.Optional("added_tokens_decoder")?.Members() ?? [])
        {
            if (!int.TryParse(key, out int id))
                throw value.Error("the name must be a token id");
            added.Add(ReadAddedToken(value, id));
        }
        return new TokenizerConfig
        {
            File = file,
            BosToken = TokenText(root, "bos_token"),
            EosToken = TokenText(root, "eos_token"),
            AddBosToken = root.Optional("add_bos_token")?.Bool(),
            AddEosToken = root.Optional("add_eos_token")?.Bool(),
            Legacy = root.Bool("legacy", absent: true),
            AddedTokens = added,
            SpecialTokens = [.. roles.Values, .. additional],
            TokensByRole = roles,
            AdditionalSpecialTokens = additional,
            ChatTemplates = ReadChatTemplates(root),
        };
    }

    /// <summary>Reads an added token, of tokenizer.json or of added_tokens_decoder.</summary>
    public static AddedToken ReadAddedToken(JsonField token, int id)
    {
        string content = token["content"].String();
        if (content.Length == 0)
            throw token.Error($"the content of added token {id} is empty");
        bool special = token.Bool("special", absent: false);
        return new AddedToken(
            id,
            content,
            special,
            token.Bool("lstrip", absent: false),
            token.Bool("rstrip", absent: false),
            token.Bool("single_word", absent: false),
            token.Bool("normalized", absent: !special));
    }

    private static string? TokenText(JsonField root, string role) => root.Optional(role) is { } token ? TokenText(token) : null;

    // A token is given as a string, or as an object with its flags.
    private static string TokenText(JsonField token) => token.IsObject ? token["content"].String() : token.String();

    // One template, or several with names.
    private static Dictionary<string, string> ReadChatTemplates(JsonField root)
    {
        Dictionary<string, string> templates = [];
        if (root.Optional("chat_template") is not { } template)
            return templates;
        if (!template.IsArray)
            templates.Add("default", template.String());
        foreach (JsonField named in template.IsArray ? template.Items() : [])
            templates[named["name"].String()] = named["template"].String();
        return templates;
    }
}
