using System.Text.Json.Nodes;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>Small tokenizer.json files of both kinds.</summary>
internal static class SmallTokenizers
{
    /// <summary>Llama 2's kind: three special tokens, 256 bytes, then "▁", "a", "▁a", "b", "▁b".</summary>
    public static JsonObject Fallback()
    {
        JsonObject vocab = new() { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        for (int value = 0; value < 256; value++)
            vocab[ByteToken.Name(value)] = 3 + value;
        foreach (string token in new[] { "▁", "a", "▁a", "b", "▁b" })
            vocab[token] = vocab.Count;
        return new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(Special(0, "<unk>"), Special(1, "<s>"), Special(2, "</s>")),
            ["normalizer"] = JsonNode.Parse("""
                {"type": "Sequence", "normalizers": [
                    {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
                """),
            ["pre_tokenizer"] = null,
            ["post_processor"] = JsonNode.Parse("""
                {"type": "TemplateProcessing",
                 "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                 "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
                """),
            ["decoder"] = JsonNode.Parse("""
                {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
                """),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["unk_token"] = "<unk>",
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["vocab"] = vocab,
                ["merges"] = new JsonArray("▁ a", "▁ b"),
            },
        };
    }

    /// <summary>Llama 3's kind: 256 bytes, merges that lead to " a" and U+20000 as one token, and two special tokens.</summary>
    public static JsonObject ByteLevel()
    {
        JsonObject vocab = [];
        for (int value = 0; value < 256; value++)
            vocab[ByteAlphabet.Letter((byte)value).ToString()] = value;
        JsonArray merges = [];
        string merged = "Ġ";
        foreach (char letter in "a\u00f0ł\u0122\u0122")
        {
            merges.Add($"{merged} {letter}");
            merged += letter;
            vocab[merged] = vocab.Count;
        }
        return new JsonObject
        {
            ["added_tokens"] = new JsonArray(Special(261, "<|begin|>"), Special(262, "<|end of turn|>")),
            ["normalizer"] = null,
            ["pre_tokenizer"] = JsonNode.Parse("""
                {"type": "Sequence", "pretokenizers": [
                    {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}| ?\\p{L}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
                     "behavior": "Isolated", "invert": false},
                    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}
                """),
            ["post_processor"] = JsonNode.Parse("""{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}"""),
            ["decoder"] = JsonNode.Parse("""{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}"""),
            ["model"] = new JsonObject { ["type"] = "BPE", ["ignore_merges"] = true, ["vocab"] = vocab, ["merges"] = merges },
        };
    }

    private static JsonObject Special(int id, string content) => new()
    {
        ["id"] = id,
        ["content"] = content,
        ["single_word"] = false,
        ["lstrip"] = false,
        ["rstrip"] = false,
        ["normalized"] = false,
        ["special"] = true,
    };
}
