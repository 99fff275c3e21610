using System.Text;
using Microsoft.ML.Tokenizers;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// A model's tokenizer: text to token ids and back, with the model's special tokens. Ids are those of Hugging Face's tokenizers and of SentencePiece.
/// Thread-safe.
/// </summary>
public sealed class TextTokenizer
{
    private readonly SectionTokenizer _inner;
    private readonly Vocabulary _vocabulary;
    private readonly HashSet<int> _special;
    private readonly AddedTokenMatcher _rawMatcher;
    private readonly AddedTokenMatcher _normalizedMatcher;
    private readonly SequenceTemplate _template;

    internal TextTokenizer(TokenizerParts parts, TokenizerConfig config)
    {
        _inner = parts.Tokenizer;
        _vocabulary = _inner.Vocabulary.With(parts.File, parts.AddedTokens).With(config.File, config.AddedTokens);
        // tokenizer_config.json has the last word about a token's flags; tokens it only names by their role are special.
        Dictionary<int, AddedToken> added = [];
        foreach (AddedToken token in parts.AddedTokens.Concat(config.AddedTokens))
            added[token.Id] = token;
        foreach (string name in config.SpecialTokens)
        {
            if (_vocabulary.IdOrNull(name) is { } id)
                added.TryAdd(id, new AddedToken(id, name));
        }
        _special = [.. added.Values.Where(token => token.Special).Select(token => token.Id)];
        _rawMatcher = new AddedTokenMatcher([.. added.Values.Where(token => !token.Normalized)], content => content);
        _normalizedMatcher = new AddedTokenMatcher([.. added.Values.Where(token => token.Normalized)], _inner.NormalizeSection);

        BosTokenId = config.BosToken is null ? parts.BosId : _vocabulary.IdOrNull(config.BosToken);
        EosTokenId = config.EosToken is null ? parts.EosId : _vocabulary.IdOrNull(config.EosToken);
        SequenceTemplate template = parts.Template ?? SequenceTemplate.None;
        _template = new SequenceTemplate(
            Around(config, "bos_token", config.AddBosToken, BosTokenId, template.Before),
            Around(config, "eos_token", config.AddEosToken, EosTokenId, template.After));
        foreach (int id in _template.Before.Concat(_template.After))
        {
            if (_vocabulary.Token(id) is null)
                throw new CheckpointException(parts.File, $"post_processor: token id {id} is not in the vocabulary of {VocabSize} tokens");
        }
        AddBosToken = BosTokenId is { } bos && _template.Before.Contains(bos);
        ChatTemplates = config.ChatTemplates;
        SpecialTokens = TokensByRole(config);
        AdditionalSpecialTokens = config.AdditionalSpecialTokens;
    }

    /// <summary>The greatest token id plus one, added tokens included. A model may have more rows in its embedding.</summary>
    public int VocabSize => _vocabulary.Size;

    /// <summary>The id of the beginning-of-sequence token, or null if the files name none.</summary>
    public int? BosTokenId { get; }

    /// <summary>The id of the end-of-sequence token, or null if the files name none (config.json and generation_config.json may).</summary>
    public int? EosTokenId { get; }

    /// <summary>Whether <see cref="Encode"/> puts BOS first when asked to add special tokens.</summary>
    public bool AddBosToken { get; }

    /// <summary>The Jinja template that turns a conversation into a prompt, or null.</summary>
    public string? ChatTemplate => ChatTemplates.GetValueOrDefault("default");

    /// <summary>All chat templates by name, <c>default</c> among them; chat_template.jinja comes before tokenizer_config.json.</summary>
    public IReadOnlyDictionary<string, string> ChatTemplates { get; }

    /// <summary>The texts of special tokens by their role: <c>bos_token</c>, <c>eos_token</c>, <c>unk_token</c>, <c>pad_token</c> and so on.</summary>
    public IReadOnlyDictionary<string, string> SpecialTokens { get; }

    /// <summary>The texts of tokenizer_config.json's additional_special_tokens.</summary>
    public IReadOnlyList<string> AdditionalSpecialTokens { get; }

    /// <summary>The tokenizer underneath, which knows neither added tokens nor BOS and EOS; for use with Microsoft.ML.Tokenizers.</summary>
    public Tokenizer Inner => _inner;

    /// <summary>
    /// Loads the tokenizer of a checkpoint folder: tokenizer.json where there is one (what Hugging Face and vLLM use), else tokenizer.model; and
    /// tokenizer_config.json and chat_template.jinja where present.
    /// </summary>
    /// <param name="folder">The checkpoint folder.</param>
    /// <exception cref="CheckpointException">A file is missing, malformed or of a kind that is not supported.</exception>
    public static TextTokenizer Load(string folder) => TokenizerLoader.LoadFolder(folder);

    /// <summary>Loads a given tokenizer file.</summary>
    /// <param name="tokenizerFile">A tokenizer.json (by its extension), or else a SentencePiece BPE model.</param>
    /// <param name="tokenizerConfigFile">The tokenizer_config.json to go with it, or null.</param>
    /// <exception cref="CheckpointException">A file is missing, malformed or of a kind that is not supported.</exception>
    public static TextTokenizer LoadFile(string tokenizerFile, string? tokenizerConfigFile = null) =>
        TokenizerLoader.LoadFile(tokenizerFile, tokenizerConfigFile);

    /// <summary>Encodes a text. The empty text gives the added special tokens alone.</summary>
    /// <param name="text">The text; lone surrogates count as U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether BOS and EOS are put around it, as far as the tokenizer's files ask for them.</param>
    /// <param name="parseSpecialTokens">
    /// Whether special tokens written in the text (<c>&lt;s&gt;</c>) become those tokens, as in Hugging Face's tokenizers and vLLM; otherwise they
    /// are encoded as the text they are, as in SentencePiece.
    /// </param>
    /// <returns>The token ids.</returns>
    /// <exception cref="InvalidRequestException">The tokenizer's pattern takes too long on this text.</exception>
    public int[] Encode(string text, bool addSpecialTokens = true, bool parseSpecialTokens = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        text = SectionTokenizer.WellFormed(text);
        List<TokenSpan> tokens = [];
        foreach (AddedTokenMatcher.Section section in _rawMatcher.Split(text, parseSpecialTokens))
        {
            if (section.Token is null)
                EncodeSection(text[section.Start..section.End], section.Start == 0, parseSpecialTokens, tokens);
            else
                tokens.Add(new TokenSpan(section.Token.Id, section.Start, section.End));
        }
        IReadOnlyList<int> before = addSpecialTokens ? _template.Before : [];
        IReadOnlyList<int> after = addSpecialTokens ? _template.After : [];
        return [.. before, .. tokens.Select(token => token.Id), .. after];
    }

    /// <summary>Decodes tokens. The space that encoding puts before a text is not part of the result.</summary>
    /// <param name="ids">The token ids; an id below <see cref="VocabSize"/> that stands for no token gives no text.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out; otherwise they appear as they are written.</param>
    /// <returns>The text; bytes that are no UTF-8 become U+FFFD.</returns>
    /// <exception cref="InvalidRequestException">An id is negative or not below <see cref="VocabSize"/>.</exception>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true)
    {
        TokenTextStream stream = _inner.CreateTextStream(_vocabulary, showControls: true, eager: false);
        StringBuilder text = new();
        foreach (int id in ids)
        {
            if (id < 0 || id >= VocabSize)
                throw new InvalidRequestException("token_ids", $"id {id} is out of range; valid are 0 to {VocabSize - 1}");
            if (!skipSpecialTokens || !IsSpecial(id))
                stream.Append(id, text);
        }
        stream.Flush(text);
        return text.ToString();
    }

    /// <summary>Whether an id is that of a special token (BOS, EOS, role marks).</summary>
    public bool IsSpecial(int id) => _special.Contains(id);

    /// <summary>The id of a token as it is written in the vocabulary (with U+2581 for a space, or in byte-level letters), or null.</summary>
    public int? TryGetId(string token) => _vocabulary.IdOrNull(token);

    /// <summary>Starts decoding tokens as they are generated.</summary>
    /// <param name="promptIds">The tokens before the first generated one; their text is not given out.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out.</param>
    public IncrementalDetokenizer CreateDetokenizer(ReadOnlySpan<int> promptIds, bool skipSpecialTokens = true) =>
        new(_inner.CreateTextStream(_vocabulary, showControls: true, eager: true), skipSpecialTokens ? _special : [], promptIds);

    // What tokenizer_config.json leaves open, the tokenizer file may know.
    private Dictionary<string, string> TokensByRole(TokenizerConfig config)
    {
        Dictionary<string, string> tokens = new(config.TokensByRole);
        if (BosTokenId is { } bos)
            tokens.TryAdd("bos_token", _vocabulary.Token(bos)!);
        if (EosTokenId is { } eos)
            tokens.TryAdd("eos_token", _vocabulary.Token(eos)!);
        return tokens;
    }

    private void EncodeSection(string section, bool isFirst, bool parseSpecial, List<TokenSpan> tokens)
    {
        string normalized = _inner.NormalizeSection(section);
        foreach (AddedTokenMatcher.Section part in _normalizedMatcher.Split(normalized, parseSpecial))
        {
            if (part.Token is null)
                _inner.EncodeSection(normalized[part.Start..part.End], isFirst && part.Start == 0, tokens);
            else
                tokens.Add(new TokenSpan(part.Token.Id, part.Start, part.End));
        }
    }

    // tokenizer_config.json decides where it says something; the tokenizer file's own template otherwise.
    private static IReadOnlyList<int> Around(TokenizerConfig config, string name, bool? add, int? id, IReadOnlyList<int> template)
    {
        if (add is null)
            return template;
        if (add == false)
            return [];
        if (id is null)
            throw new CheckpointException(config.File, $"add_{name} is set, but {name} is absent or not in the vocabulary");
        return [id.Value];
    }
}
