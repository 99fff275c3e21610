using System.Text;
using System.Text.Json;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Finds and reads the files that make up a tokenizer.</summary>
internal static class TokenizerLoader
{
    // The largest in use have some 20 MB.
    private const int MaxFileBytes = 256 << 20;

    /// <summary>Loads a folder's tokenizer: tokenizer.json where there is one, as Hugging Face does, else tokenizer.model.</summary>
    public static TextTokenizer LoadFolder(string folder)
    {
        if (string.IsNullOrWhiteSpace(folder))
            throw new CheckpointException("model", "the path is empty, must be a folder with tokenizer.json or tokenizer.model");
        string? file = new[] { "tokenizer.json", "tokenizer.model" }.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
        if (file is null)
            throw new CheckpointException(folder, Directory.Exists(folder) ? "has neither tokenizer.json nor tokenizer.model" : File.Exists(folder) ? "is a file, must be a folder" : "no such folder");
        string configFile = Path.Combine(folder, "tokenizer_config.json");
        TokenizerConfig config = File.Exists(configFile) ? ReadConfig(ReadBytes(configFile), configFile) : new TokenizerConfig();
        string templateFile = Path.Combine(folder, "chat_template.jinja");
        if (File.Exists(templateFile))
            config = config with { ChatTemplates = new Dictionary<string, string>(config.ChatTemplates) { ["default"] = Encoding.UTF8.GetString(ReadBytes(templateFile)) } };
        return Build(ReadBytes(file), file, config);
    }

    /// <summary>Loads a given tokenizer.json or SentencePiece model.</summary>
    public static TextTokenizer LoadFile(string file, string? configFile) =>
        Build(ReadBytes(file), file, configFile is null ? new TokenizerConfig() : ReadConfig(ReadBytes(configFile), configFile));

    /// <summary>Makes a tokenizer of a file's bytes; the name tells the format: .json, or anything else for a SentencePiece model.</summary>
    public static TextTokenizer Build(byte[] bytes, string file, TokenizerConfig config)
    {
        if (!file.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
            return new TextTokenizer(ReadSentencePiece(bytes, file, config), config);
        using JsonDocument document = JsonField.Parse(bytes, file);
        return new TextTokenizer(TokenizerJsonReader.Read(JsonField.Root(document, file), file), config);
    }

    /// <summary>Reads the bytes of a tokenizer_config.json.</summary>
    public static TokenizerConfig ReadConfig(byte[] bytes, string file)
    {
        using JsonDocument document = JsonField.Parse(bytes, file);
        return TokenizerConfig.Read(JsonField.Root(document, file), file);
    }

    private static TokenizerParts ReadSentencePiece(byte[] bytes, string file, TokenizerConfig config)
    {
        SentencePieceModel model = SentencePieceModelReader.Read(bytes, file);
        List<AddedToken> added = [];
        for (int id = 0; id < model.Pieces.Count; id++)
        {
            if (model.Pieces[id].Type is SentencePieceType.Control or SentencePieceType.Unknown)
                added.Add(new AddedToken(id, model.Pieces[id].Text));
        }
        // Such models say nothing about BOS; Llama and Mistral, for which they were made, put it before every text.
        SequenceTemplate template = model.BosId is { } bos ? new SequenceTemplate([bos], []) : SequenceTemplate.None;
        return new TokenizerParts(file, new SentencePieceBpeTokenizer(model, config.Legacy), added, model.BosId, model.EosId, template);
    }

    private static byte[] ReadBytes(string file)
    {
        try
        {
            long length = new FileInfo(file).Length;
            if (length > MaxFileBytes)
                throw new CheckpointException(file, $"{length} bytes; at most {MaxFileBytes} are read");
            return File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string problem = e is FileNotFoundException or DirectoryNotFoundException ? "no such file" : $"cannot be read: {e.Message}";
            throw new CheckpointException(file, problem, e);
        }
    }
}
