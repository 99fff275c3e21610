using System.Text.Json.Nodes;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>Special and added tokens, tokenizer_config.json, and the choice of files; expectations are those of Hugging Face's tokenizers.</summary>
[TestClass]
public sealed class TextTokenizerTests
{
    private const string Config = """
        {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": true, "add_eos_token": true, "chat_template": "{{ messages }}"}
        """;

    [TestMethod]
    public void Encode_EmptyText_IsBosAlone()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromJson(SmallTokenizers.Fallback());
        CollectionAssert.AreEqual(new[] { 1 }, tokenizer.Encode(""));
        CollectionAssert.AreEqual(Array.Empty<int>(), tokenizer.Encode("", addSpecialTokens: false));
        Assert.AreEqual("", tokenizer.Decode([1]));
    }

    [TestMethod]
    public void Load_ConfigWithBosAndEos_AddsBoth()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromText(SmallTokenizers.Fallback().ToJsonString(), Config);
        int[] ids = tokenizer.Encode("a");
        Assert.AreEqual((1, 2, true), (ids[0], ids[^1], tokenizer.AddBosToken));
        Assert.AreEqual((1, 2, "{{ messages }}"), (tokenizer.BosTokenId, tokenizer.EosTokenId, tokenizer.ChatTemplate));
    }

    [TestMethod]
    public void Load_ConfigWithoutBos_OverridesThePostProcessor()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromText(SmallTokenizers.Fallback().ToJsonString(), """{"add_bos_token": false}""");
        Assert.IsFalse(tokenizer.AddBosToken);
        CollectionAssert.AreEqual(Array.Empty<int>(), tokenizer.Encode(""));
    }

    [TestMethod]
    public void Load_SeveralChatTemplates_DefaultIsTaken()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromText(
            SmallTokenizers.Fallback().ToJsonString(),
            """{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}""");
        Assert.AreEqual("D", tokenizer.ChatTemplate);
    }

    [TestMethod]
    public void Encode_SpecialTokenInText_IsParsedUnlessToldNot()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromJson(SmallTokenizers.Fallback());
        CollectionAssert.AreEqual(new[] { 1, 1, Id(tokenizer, "▁a"), 2 }, tokenizer.Encode("<s>a</s>"));
        int[] unparsed = tokenizer.Encode("<s>", addSpecialTokens: false, parseSpecialTokens: false);
        CollectionAssert.AreEqual(new[] { Id(tokenizer, "▁"), 3 + '<', 3 + 's', 3 + '>' }, unparsed);
    }

    [TestMethod]
    [DataRow("lstrip", "a  <x>  a", "▁a|<x>|▁|▁|▁a")]
    [DataRow("rstrip", "a  <x>  a", "▁a|▁|▁|<x>|▁a")]
    [DataRow("single_word", "a<x> <x>a <x>", "▁a|<0x3C>|<0x78>|<0x3E>|▁|<0x3C>|<0x78>|<0x3E>|a|▁|<x>")]
    [DataRow("special", "a<x>", "▁a|<x>")]
    public void Encode_AddedTokenFlags_AsHuggingFace(string flag, string text, string expected)
    {
        JsonObject json = SmallTokenizers.Fallback();
        JsonObject token = new() { ["id"] = 300, ["content"] = "<x>", ["normalized"] = false, ["special"] = false };
        token[flag] = true;
        json["added_tokens"]!.AsArray().Add(token);
        TextTokenizer tokenizer = TokenizerFiles.FromJson(json);
        Assert.AreEqual(301, tokenizer.VocabSize);
        Assert.AreEqual(flag == "special", tokenizer.IsSpecial(300));
        CollectionAssert.AreEqual(
            expected.Split('|').Select(name => Id(tokenizer, name)).ToArray(), tokenizer.Encode(text, addSpecialTokens: false));
    }

    [TestMethod]
    public void Encode_NormalizedAddedToken_IsFoundInNormalizedText()
    {
        // The normalizer puts U+2581 before the token's own content too, so it is found only after a space or at the start of a section.
        JsonObject json = SmallTokenizers.Fallback();
        json["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = 300, ["content"] = "<x>", ["normalized"] = true, ["special"] = false });
        TextTokenizer tokenizer = TokenizerFiles.FromJson(json);
        CollectionAssert.AreEqual(new[] { 300, Id(tokenizer, "a") }, tokenizer.Encode("<x>a", addSpecialTokens: false));
        CollectionAssert.AreEqual(
            new[] { Id(tokenizer, "▁a"), 3 + '<', 3 + 'x', 3 + '>' }, tokenizer.Encode("a<x>", addSpecialTokens: false));
    }

    [TestMethod]
    public void Load_AddedTokensDecoder_AddsTokensAndOverridesFlags()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromText(
            SmallTokenizers.Fallback().ToJsonString(),
            """{"added_tokens_decoder": {"2": {"content": "</s>", "special": false}, "300": {"content": "<x>", "special": true}}}""");
        Assert.AreEqual((false, true, 301), (tokenizer.IsSpecial(2), tokenizer.IsSpecial(300), tokenizer.VocabSize));
        CollectionAssert.AreEqual(new[] { 300 }, tokenizer.Encode("<x>", addSpecialTokens: false));
    }

    [TestMethod]
    public void Load_RoleNamedInConfig_MakesThatTokenSpecial()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromText(
            SmallTokenizers.Fallback().ToJsonString(), """{"pad_token": "▁b", "eos_token": "<none>"}""");
        Assert.IsTrue(tokenizer.IsSpecial(Id(tokenizer, "▁b")));
        Assert.IsNull(tokenizer.EosTokenId);
    }

    [TestMethod]
    public void Encode_MergesAsStringsAndAsPairs_AreTheSame()
    {
        JsonObject pairs = SmallTokenizers.Fallback();
        pairs["model"]!["merges"] = new JsonArray([.. pairs["model"]!["merges"]!.AsArray().Select(
            merge => new JsonArray([.. merge!.GetValue<string>().Split(' ').Select(part => JsonValue.Create(part))]))]);
        int[] expected = TokenizerFiles.FromJson(SmallTokenizers.Fallback()).Encode("ab a b");
        CollectionAssert.AreEqual(expected, TokenizerFiles.FromJson(pairs).Encode("ab a b"));
    }

    [TestMethod]
    public void EncodeDecode_ByteLevelLettersBeyondU_FFFF_AreLetters()
    {
        // " ?\p{L}+" must take the letter U+20000 together with the space and the "a": then the merge over all of them applies.
        JsonObject json = SmallTokenizers.ByteLevel();
        TextTokenizer tokenizer = TokenizerFiles.FromJson(json);
        int whole = tokenizer.TryGetId("Ġa\u00f0ł\u0122\u0122")!.Value;
        CollectionAssert.AreEqual(new[] { whole }, tokenizer.Encode(" a\U00020000", addSpecialTokens: false));
        Assert.AreEqual(" a\U00020000", tokenizer.Decode([whole]));
    }

    [TestMethod]
    public void EncodeToTokens_ByteLevel_BoundsCoverWholeCharacters()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromJson(SmallTokenizers.ByteLevel());
        var offsets = tokenizer.Inner.EncodeToTokens("\u00e9x", out _).Select(token => token.Offset).ToArray();
        CollectionAssert.AreEqual(new[] { 0..1, 0..1, 1..2 }, offsets);
    }

    [TestMethod]
    public void Encode_LoneSurrogate_CountsAsReplacementCharacter()
    {
        foreach (JsonObject json in new[] { SmallTokenizers.Fallback(), SmallTokenizers.ByteLevel() })
        {
            TextTokenizer tokenizer = TokenizerFiles.FromJson(json);
            CollectionAssert.AreEqual(tokenizer.Encode("a\uFFFDb\uFFFD"), tokenizer.Encode("a\uD800b\uDC00"));
        }
    }

    [TestMethod]
    public void Decode_RunOfBytesThatIsNoUtf8_EveryByteIsReplaced()
    {
        // Hugging Face's ByteFallback judges a run as a whole; SentencePiece keeps its valid characters.
        TextTokenizer json = TokenizerFiles.FromJson(SmallTokenizers.Fallback());
        TextTokenizer model = TokenizerFiles.FromModel(new SentencePieceModelBuilder().Pieces("a").Build());
        int[] ids = [3 + 0xC3, 3 + 0xA9, 3 + 0xC3];
        Assert.AreEqual("\uFFFD\uFFFD\uFFFD", json.Decode(ids));
        Assert.AreEqual("\u00e9\uFFFD", model.Decode(ids));
    }

    [TestMethod]
    [DataRow(-1)]
    [DataRow(int.MaxValue)]
    public void Decode_IdOutOfRange_IsRefusedWithTheRange(int id)
    {
        TextTokenizer tokenizer = TokenizerFiles.FromJson(SmallTokenizers.Fallback());
        InvalidRequestException e = Assert.ThrowsExactly<InvalidRequestException>(() => tokenizer.Decode([1, id]));
        Assert.AreEqual($"token_ids: id {id} is out of range; valid are 0 to {tokenizer.VocabSize - 1}", e.Message);
    }

    [TestMethod]
    public void Load_FolderWithBothFiles_TakesTokenizerJson()
    {
        string folder = Directory.CreateTempSubdirectory("ilgpullm-tokenizer").FullName;
        try
        {
            File.WriteAllBytes(Path.Combine(folder, "tokenizer.model"), new SentencePieceModelBuilder().Pieces("a").Build());
            Assert.AreEqual(260, TextTokenizer.Load(folder).VocabSize);
            File.WriteAllText(Path.Combine(folder, "tokenizer.json"), SmallTokenizers.Fallback().ToJsonString());
            Assert.AreEqual(264, TextTokenizer.Load(folder).VocabSize);
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), Config);
            File.WriteAllText(Path.Combine(folder, "chat_template.jinja"), "from its own file");
            TextTokenizer tokenizer = TextTokenizer.Load(folder);
            Assert.AreEqual((2, "from its own file"), (tokenizer.EosTokenId, tokenizer.ChatTemplate));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static int Id(TextTokenizer tokenizer, string token) => tokenizer.TryGetId(token) ?? throw new ArgumentException($"no token {token}");
}
