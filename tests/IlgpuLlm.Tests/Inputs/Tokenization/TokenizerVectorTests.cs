using System.Text.Json;
using System.Text.Json.Nodes;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>The published encodings of ../shared/vectors/tokenizer_vectors.json: every row of its 11 sets.</summary>
[TestClass]
public sealed class TokenizerVectorTests
{
    // The file's numbers of rows; a set that silently lost rows would otherwise pass.
    private static readonly Dictionary<string, (int Encode, int Decode)> Sizes = new()
    {
        ["llama-tokenizer-js"] = (12, 8),
        ["mistral-tokenizer-js"] = (12, 0),
        ["llama3-tokenizer-js"] = (21, 21),
        ["llama.cpp ggml-vocab-llama-spm"] = (46, 0),
        ["llama.cpp ggml-vocab-llama-bpe"] = (46, 0),
        ["transformers test_tokenization_llama"] = (12, 5),
        ["mistral-common v1 instruct"] = (0, 1),
        ["computed-sentencepiece llama2"] = (55, 0),
        ["computed-sentencepiece mistral-v1"] = (55, 0),
        ["computed-sentencepiece mistral-v3"] = (55, 0),
        ["computed-sentencepiece stories260K"] = (55, 0),
    };

    [TestMethod]
    [DataRow("llama-tokenizer-js", "tokenizer.json")]
    [DataRow("llama-tokenizer-js", "tokenizer.model")]
    [DataRow("mistral-tokenizer-js", "tokenizer.json")]
    [DataRow("mistral-tokenizer-js", "tokenizer.model")]
    [DataRow("llama.cpp ggml-vocab-llama-spm", "tokenizer.json")]
    [DataRow("llama.cpp ggml-vocab-llama-spm", "tokenizer.model")]
    [DataRow("llama.cpp ggml-vocab-llama-bpe", "tokenizer.json")]
    [DataRow("transformers test_tokenization_llama", "tokenizer.json")]
    [DataRow("transformers test_tokenization_llama", "tokenizer.model")]
    [DataRow("mistral-common v1 instruct", "tokenizer.json")]
    [DataRow("mistral-common v1 instruct", "tokenizer.model")]
    [DataRow("computed-sentencepiece llama2", "tokenizer.json")]
    [DataRow("computed-sentencepiece llama2", "tokenizer.model")]
    [DataRow("computed-sentencepiece mistral-v1", "tokenizer.json")]
    [DataRow("computed-sentencepiece mistral-v1", "tokenizer.model")]
    [DataRow("computed-sentencepiece mistral-v3", "tokenizer.json")]
    [DataRow("computed-sentencepiece mistral-v3", "tokenizer.model")]
    // Only the .model of stories260K trims white space as these rows have it; its tokenizer.json does not (see README.md of ../shared).
    [DataRow("computed-sentencepiece stories260K", "tokenizer.model")]
    public void EncodeDecode_PublishedSet_EveryRowEqual(string name, string file)
    {
        JsonElement set = Set(name);
        TextTokenizer tokenizer = TokenizerFiles.Shared(set.GetProperty("tokenizer").GetString()!, file);
        bool addSpecial = set.TryGetProperty("bos", out JsonElement bos) && bos.GetBoolean();
        // SentencePiece and llama.cpp's vocabulary test leave special tokens in the text unparsed; no row of the other sets has one in its text.
        bool parseSpecial = !set.TryGetProperty("parse_special", out JsonElement parse) || parse.GetBoolean();
        List<string> differences = [];
        foreach (JsonElement row in set.GetProperty("encode").EnumerateArray())
        {
            string text = row.GetProperty("text").GetString()!;
            int[] ids = Ids(row.GetProperty("ids"));
            int[] actual = tokenizer.Encode(text, addSpecial, parseSpecial);
            if (!ids.SequenceEqual(actual))
                differences.Add($"encode \"{text}\": [{string.Join(", ", actual)}] instead of [{string.Join(", ", ids)}]");
            if (row.TryGetProperty("decoded", out JsonElement decoded))
                Compare(decoded.GetString()!, tokenizer.Decode(ids), ids, differences);
        }
        foreach (JsonElement row in set.GetProperty("decode").EnumerateArray())
        {
            int[] ids = Ids(row.GetProperty("decode_ids"));
            string decoded = row.GetProperty("decoded").GetString()!;
            bool skipSpecial = !row.TryGetProperty("add_bos_token", out JsonElement strip) || strip.GetBoolean();
            bool stripsSpace = !row.TryGetProperty("add_preceding_space", out JsonElement space) || space.GetBoolean();
            string actual = stripsSpace || ids[0] == tokenizer.BosTokenId && !skipSpecial
                ? tokenizer.Decode(ids, skipSpecial)
                : DecodeAfterPrompt(tokenizer, ids, skipSpecial);
            Compare(decoded, actual, ids, differences);
        }
        AssertComplete(name, set, differences);
    }

    [TestMethod]
    public void EncodeDecode_Llama31SpecialTokens_EveryRowEqual()
    {
        const string Name = "llama3-tokenizer-js";
        JsonElement set = Set(Name);
        JsonObject json = TokenizerFiles.SharedJson("tokenizers", "llama3", "tokenizer.json");
        Dictionary<int, string> names = TokenizerFiles.SharedJson("tokenizers", "llama3", "llama3.1_special_tokens.json")
            .ToDictionary(pair => pair.Value!.GetValue<int>(), pair => pair.Key);
        foreach (JsonNode? token in json["added_tokens"]!.AsArray())
            token!["content"] = names[token["id"]!.GetValue<int>()];
        // The post-processor only repeats the name of BOS.
        Dictionary<(bool Bos, bool Eos), TextTokenizer> tokenizers = [];
        foreach ((bool bos, bool eos) in new[] { (true, true), (true, false), (false, true), (false, false) })
        {
            JsonObject config = new()
            {
                ["bos_token"] = "<|begin_of_text|>",
                ["eos_token"] = "<|end_of_text|>",
                ["add_bos_token"] = bos,
                ["add_eos_token"] = eos,
            };
            tokenizers.Add((bos, eos), TokenizerFiles.FromJson(json, config));
        }
        List<string> differences = [];
        foreach (JsonElement row in set.GetProperty("encode").EnumerateArray())
        {
            string text = row.GetProperty("text").GetString()!;
            int[] ids = Ids(row.GetProperty("ids"));
            int[] actual = tokenizers[(row.GetProperty("bos").GetBoolean(), row.GetProperty("eos").GetBoolean())].Encode(text);
            if (!ids.SequenceEqual(actual))
                differences.Add($"encode \"{text}\": [{string.Join(", ", actual)}] instead of [{string.Join(", ", ids)}]");
        }
        foreach (JsonElement row in set.GetProperty("decode").EnumerateArray())
        {
            int[] ids = Ids(row.GetProperty("decode_ids"));
            Compare(row.GetProperty("decoded").GetString()!, tokenizers[(true, true)].Decode(ids, skipSpecialTokens: false), ids, differences);
        }
        AssertComplete(Name, set, differences);
    }

    [TestMethod]
    public void Encode_TransformersSpecialRows_Equal()
    {
        // The first row is for the tokenizer as it is. The others are marked legacy=False, for which Hugging Face writes a pre-tokenizer "Metaspace"
        // in place of the normalizer.
        JsonElement rows = Set("transformers test_tokenization_llama").GetProperty("special");
        JsonObject json = TokenizerFiles.SharedJson("tokenizers", "llama2", "tokenizer.json");
        json["normalizer"] = null;
        json["pre_tokenizer"] = JsonNode.Parse("""{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false}""");
        TextTokenizer legacy = TokenizerFiles.Shared("tokenizers/llama2", "tokenizer.json");
        TextTokenizer notLegacy = TokenizerFiles.FromJson(json);
        int numRows = 0;
        foreach (JsonElement row in rows.EnumerateArray())
        {
            bool isLegacy = !row.GetProperty("note").GetString()!.Contains("legacy=False", StringComparison.Ordinal);
            int[] actual = isLegacy
                ? legacy.Encode(row.GetProperty("text").GetString()!)
                : notLegacy.Encode(row.GetProperty("text").GetString()!, addSpecialTokens: false);
            CollectionAssert.AreEqual(Ids(row.GetProperty("ids")), actual, row.ToString());
            numRows++;
        }
        Assert.AreEqual(3, numRows);
    }

    [TestMethod]
    public void Encode_MistralInstructParts_MatchTheChatIds()
    {
        // mistral-common encodes each part by itself and joins them; a rendered template with its special tokens parsed must give the same.
        JsonElement chats = Set("mistral-common v1 instruct").GetProperty("chat");
        foreach (string file in new[] { "tokenizer.json", "tokenizer.model" })
        {
            TextTokenizer tokenizer = TokenizerFiles.Shared("tokenizers/mistral-v1", file);
            int[] first = tokenizer.Encode("<s>[INST] a [/INST] b</s>[INST] c [/INST] d</s>", addSpecialTokens: false);
            CollectionAssert.AreEqual(Ids(chats[0].GetProperty("ids")), first, file);
            int[] second = tokenizer.Encode("[INST] SYSTEM\n\na [/INST]");
            CollectionAssert.AreEqual(Ids(chats[1].GetProperty("ids")), second, file);
        }
    }

    // How text is given out after a prompt, where the space before a word belongs to it: the rows "add_preceding_space": false.
    private static string DecodeAfterPrompt(TextTokenizer tokenizer, int[] ids, bool skipSpecial)
    {
        IncrementalDetokenizer detokenizer = tokenizer.CreateDetokenizer(tokenizer.Encode("prompt"), skipSpecial);
        return string.Concat(ids.Select(detokenizer.Append)) + detokenizer.Flush();
    }

    private static void Compare(string expected, string actual, int[] ids, List<string> differences)
    {
        if (expected != actual)
            differences.Add($"decode [{string.Join(", ", ids)}]: \"{actual}\" instead of \"{expected}\"");
    }

    private static void AssertComplete(string name, JsonElement set, List<string> differences)
    {
        Assert.IsEmpty(differences, string.Join('\n', differences));
        Assert.AreEqual(Sizes[name], (set.GetProperty("encode").GetArrayLength(), set.GetProperty("decode").GetArrayLength()));
    }

    private static JsonElement Set(string name) =>
        TestData.Json(TestData.Shared("vectors", "tokenizer_vectors.json")).GetProperty("sets").EnumerateArray()
            .Single(set => set.GetProperty("name").GetString() == name);

    private static int[] Ids(JsonElement array) => [.. array.EnumerateArray().Select(id => id.GetInt32())];
}
