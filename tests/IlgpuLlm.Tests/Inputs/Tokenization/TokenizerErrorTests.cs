using System.Text;
using System.Text.Json.Nodes;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>Bad and unsupported files: a typed error that names file, field and value.</summary>
[TestClass]
public sealed class TokenizerErrorTests
{
    [TestMethod]
    [DataRow("model.type", "\"WordPiece\"", "model: type \"WordPiece\" is not supported; supported is \"BPE\"")]
    [DataRow("model.type", "\"Unigram\"", "model: type \"Unigram\" is not supported; supported is \"BPE\"")]
    [DataRow("model.vocab", "[]", "model.vocab: expected an object, found an array")]
    [DataRow("model.vocab", "{}", "model: the vocab is empty")]
    [DataRow("model.vocab.a", "\"x\"", "model.vocab.a: expected a 32-bit integer, found \"x\"")]
    [DataRow("model.vocab.a", "3000000000", "model.vocab.a: expected a 32-bit integer, found 3000000000")]
    [DataRow("model.vocab.a", "-1", "vocab: token \"a\" has id -1; 264 tokens may have 0 to 66591")]
    [DataRow("model.vocab.a", "999999999", "vocab: token \"a\" has id 999999999; 264 tokens may have 0 to 66591")]
    [DataRow("model.vocab.a", "1", "vocab: id 1 is given to both \"<s>\" and \"a\"")]
    [DataRow("model.merges", "[\"a z\"]", "model.merges[0]: token \"z\" is not in the vocab")]
    [DataRow("model.merges", "[\"a a a\"]", "model.merges[0]: a merge must have 2 parts, found 3")]
    [DataRow("model.merges", "[[\"a\"]]", "model.merges[0]: a merge must have 2 parts, found 1")]
    [DataRow("model.merges", "null", "model: lacks \"merges\"")]
    [DataRow("model.unk_token", "\"?\"", "model.unk_token: token \"?\" is not in the vocab")]
    [DataRow("model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix: is not supported")]
    [DataRow("normalizer", """{"type": "NFC"}""", "normalizer: type \"NFC\" is not supported; supported are Prepend, Replace and Sequence")]
    [DataRow("normalizer", """{"type": "Replace", "pattern": {"Regex": "a"}, "content": ""}""",
        "normalizer.pattern: only a \"String\" pattern is supported")]
    [DataRow("pre_tokenizer", """{"type": "BertPreTokenizer"}""",
        "pre_tokenizer: type \"BertPreTokenizer\" is not supported; supported are ByteLevel, Digits, Metaspace, Sequence and Split")]
    [DataRow("pre_tokenizer", """{"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Removed"}""",
        "pre_tokenizer: behavior \"Removed\" is not supported; supported is \"Isolated\"")]
    [DataRow("pre_tokenizer", """{"type": "Split", "pattern": {"Regex": "\\p{Han}"}, "behavior": "Isolated"}""",
        "pre_tokenizer.pattern: the pattern \"\\p{Han}\" is not supported: ")]
    [DataRow("pre_tokenizer", """{"type": "ByteLevel"}""", "decoder: not ByteLevel, unlike the pre_tokenizer: both must be or neither")]
    [DataRow("decoder", """{"type": "WordPiece"}""", "decoder: type \"WordPiece\" is not supported; supported are ByteFallback, ")]
    [DataRow("decoder", """{"type": "Sequence", "decoders": [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]}""",
        "decoder.decoders[0]: Strip is not supported at this place of the sequence; the order is Replace, ByteFallback, Fuse, Strip")]
    [DataRow("decoder", "null", "lacks \"decoder\"")]
    [DataRow("post_processor", """{"type": "BertProcessing"}""",
        "post_processor: type \"BertProcessing\" is not supported; supported are ByteLevel, Sequence and TemplateProcessing")]
    [DataRow("post_processor.special_tokens", "{}", "post_processor.single[0].SpecialToken.id: \"<s>\" is not among the special_tokens")]
    [DataRow("post_processor.special_tokens.<s>.ids", "[7000]", "post_processor: token id 7000 is not in the vocabulary of 264 tokens")]
    [DataRow("added_tokens", """[{"id": 5, "content": "<s>"}]""", "added token \"<s>\" has id 5, and 1 in the vocabulary")]
    [DataRow("added_tokens", """[{"id": 5, "content": "x"}]""", "vocab: id 5 is given to both \"<0x02>\" and \"x\"")]
    [DataRow("added_tokens", """[{"id": 300, "content": ""}]""", "added_tokens[0]: the content of added token 300 is empty")]
    [DataRow("added_tokens", """[{"content": "x"}]""", "added_tokens[0]: lacks \"id\"")]
    public void Load_JsonFieldChanged_ErrorNamesIt(string path, string value, string problem)
    {
        JsonObject json = SmallTokenizers.Fallback();
        JsonNode parent = json;
        string[] names = path.Split('.');
        foreach (string name in names[..^1])
            parent = parent[name]!;
        parent[names[^1]] = JsonNode.Parse(value);
        CheckpointException e = Assert.ThrowsExactly<CheckpointException>(() => TokenizerFiles.FromJson(json));
        Assert.StartsWith("tokenizer.json: " + problem, e.Message);
    }

    [TestMethod]
    [DataRow("{\"model\": ", "malformed JSON at line 1, byte 10")]
    [DataRow("", "malformed JSON at line 1, byte 0")]
    [DataRow("[]", "expected an object, found an array")]
    [DataRow("{}", "lacks \"model\"")]
    [DataRow("""{"model": {"type": "\ud800"}}""", "model.type: the string is not valid Unicode")]
    [DataRow("""{"model": {"type": "BPE", "vocab": {"\ud800": 1}}}""", "model.vocab: a member's name is not valid Unicode")]
    [DataRow("""{"model": {"\ud800abcdefghijklmnopqrst": 1}}""", "model: a member's name is not valid Unicode")]
    public void Load_MalformedJson_ErrorSaysWhere(string text, string problem)
    {
        CheckpointException e = Assert.ThrowsExactly<CheckpointException>(() => TokenizerFiles.FromText(text));
        Assert.AreEqual("tokenizer.json: " + problem, e.Message);
    }

    [TestMethod]
    [DataRow("""{"add_eos_token": true}""", "add_eos_token is set, but eos_token is absent or not in the vocabulary")]
    [DataRow("""{"add_bos_token": 1}""", "add_bos_token: expected true or false, found 1")]
    [DataRow("""{"bos_token": 7}""", "bos_token: expected a string, found 7")]
    [DataRow("""{"added_tokens_decoder": {"x": {"content": "y"}}}""", "added_tokens_decoder.x: the name must be a token id")]
    [DataRow("""{"added_tokens_decoder": {"9": {"content": "<s>"}}}""", "added token \"<s>\" has id 9, and 1 in the vocabulary")]
    [DataRow("""{"\ud800abcdefghijklmnopqrst": 1}""", "the object: a member's name is not valid Unicode")]
    public void Load_BadConfig_ErrorNamesTheField(string config, string problem)
    {
        string tokenizer = SmallTokenizers.Fallback().ToJsonString();
        CheckpointException e = Assert.ThrowsExactly<CheckpointException>(() => TokenizerFiles.FromText(tokenizer, config));
        Assert.AreEqual("tokenizer_config.json: " + problem, e.Message);
    }

    [TestMethod]
    public void Load_BadModel_ErrorNamesTheField()
    {
        (byte[] Model, string Problem)[] cases =
        [
            ([], "not a SentencePiece model: it has no pieces"),
            (Encoding.UTF8.GetBytes("{}"), "not a SentencePiece model: wire type 3; supported are 0, 1, 2 and 5 (byte 1 of a message of 2 bytes)"),
            ([10, 200], "not a SentencePiece model: the message ends inside a number (byte 2 of a message of 2 bytes)"),
            ([10, 100, 1], "not a SentencePiece model: a field of 100 bytes where 1 are left (byte 2 of a message of 3 bytes)"),
            ([0], "not a SentencePiece model: field number 0; valid are 1 to 536870911 (byte 1 of a message of 1 bytes)"),
            ([10, 2, 8, 1], "not a SentencePiece model: wire type 0 where 2 is expected (byte 1 of a message of 2 bytes)"),
            ([10, 3, 10, 1, 255], "not a SentencePiece model: a string is not valid UTF-8 (byte 1 of a message of 3 bytes)"),
            (new SentencePieceModelBuilder(modelType: 1).Build(), "model_type 1 (Unigram) is not supported; supported is 2 (BPE)"),
            (new SentencePieceModelBuilder().Trainer(24, 1).Build(), "treat_whitespace_as_suffix is not supported"),
            (new SentencePieceModelBuilder(byteFallback: false).Trainer(35, 1).Build(),
                "byte_fallback is set, but the piece <0x00> of type BYTE is missing"),
            (new SentencePieceModelBuilder().Pieces("a", "a").Build(), "pieces 259 and 260 are both \"a\""),
            (new SentencePieceModelBuilder().Pieces("").Build(), "a piece is empty"),
            (new SentencePieceModelBuilder().Piece("a", float.NaN).Build(), "the score of piece \"a\" is NaN"),
            (new SentencePieceModelBuilder().Piece("a", 0, (SentencePieceType)7).Build(), "the type of piece \"a\" is 7; valid are 1 to 6"),
            (new SentencePieceModelBuilder().Piece("a", 0, SentencePieceType.Unknown).Build(),
                "pieces 0 and 259 are both of type UNKNOWN; there must be one"),
            (new SentencePieceModelBuilder().CharsMap([8, 0, 0, 0, 1]).Build(), "precompiled_charsmap: a trie of 8 bytes in a map of 5 bytes"),
        ];
        foreach ((byte[] model, string problem) in cases)
        {
            CheckpointException e = Assert.ThrowsExactly<CheckpointException>(() => TokenizerFiles.FromModel(model), problem);
            Assert.AreEqual("tokenizer.model: " + problem, e.Message);
        }
    }

    [TestMethod]
    public void Load_NoFiles_ErrorNamesTheFolderOrFile()
    {
        string folder = Directory.CreateTempSubdirectory("ilgpullm-tokenizer").FullName;
        string file = Path.Combine(folder, "tokenizer.json");
        Assert.AreEqual(
            $"{folder}: has neither tokenizer.json nor tokenizer.model",
            Assert.ThrowsExactly<CheckpointException>(() => TextTokenizer.Load(folder)).Message);
        Assert.AreEqual($"{file}: no such file", Assert.ThrowsExactly<CheckpointException>(() => TextTokenizer.LoadFile(file)).Message);
        Directory.Delete(folder);
        Assert.AreEqual($"{folder}: no such folder", Assert.ThrowsExactly<CheckpointException>(() => TextTokenizer.Load(folder)).Message);
    }
}
