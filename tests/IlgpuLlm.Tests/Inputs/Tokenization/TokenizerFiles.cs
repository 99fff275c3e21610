using System.Text;
using System.Text.Json.Nodes;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>The tokenizers that the tests use, each loaded once.</summary>
internal static class TokenizerFiles
{
    private static readonly Dictionary<string, TextTokenizer> Loaded = [];

    /// <summary>A tokenizer of ../shared: its folder ("tokenizers/llama2") and file ("tokenizer.model").</summary>
    public static TextTokenizer Shared(string folder, string file)
    {
        string path = TestData.Shared([.. folder.Split('/'), file]);
        string configPath = Path.Combine(Path.GetDirectoryName(path)!, "tokenizer_config.json");
        lock (Loaded)
        {
            if (!Loaded.TryGetValue(path, out TextTokenizer? tokenizer))
                Loaded.Add(path, tokenizer = TextTokenizer.LoadFile(path, File.Exists(configPath) ? configPath : null));
            return tokenizer;
        }
    }

    /// <summary>A JSON file of ../shared, to be changed and loaded with <see cref="FromJson"/>.</summary>
    public static JsonObject SharedJson(params string[] parts) => JsonNode.Parse(File.ReadAllBytes(TestData.Shared(parts)))!.AsObject();

    /// <summary>Loads a tokenizer.json and a tokenizer_config.json given as JSON.</summary>
    public static TextTokenizer FromJson(JsonNode tokenizer, JsonNode? config = null) =>
        FromText(tokenizer.ToJsonString(), config?.ToJsonString());

    /// <summary>Loads a tokenizer.json and a tokenizer_config.json given as text.</summary>
    public static TextTokenizer FromText(string tokenizer, string? config = null) =>
        TokenizerLoader.Build(Encoding.UTF8.GetBytes(tokenizer), "tokenizer.json", Config(config));

    /// <summary>Loads a SentencePiece model given as bytes.</summary>
    public static TextTokenizer FromModel(byte[] model, string? config = null) => TokenizerLoader.Build(model, "tokenizer.model", Config(config));

    private static TokenizerConfig Config(string? text) =>
        text is null ? new TokenizerConfig() : TokenizerLoader.ReadConfig(Encoding.UTF8.GetBytes(text), "tokenizer_config.json");
}
