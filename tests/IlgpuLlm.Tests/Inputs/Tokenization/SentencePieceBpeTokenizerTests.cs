using System.Buffers;
using System.IO.Compression;
using IlgpuLlm.Inputs.Tokenization;
using Microsoft.ML.Tokenizers;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>The rules of SentencePiece BPE one by one, on models of a few pieces.</summary>
[TestClass]
public sealed class SentencePieceBpeTokenizerTests
{
    // The first id after <unk>, <s>, </s> and the bytes.
    private const int First = 259;

    // Made by SentencePiece's trainer from the rules (code points): A -> bc, AB -> X, U+FB01 -> fi, U+3000 -> space, U+7F -> nothing,
    // U+1F999 -> llama. Compressed with zlib.
    private const string CharsMap =
        "eNol0wWsFlQUAODLD2xuxAApKaURQaVDHQgIiAICxlMkHh0/DUoY/4MHkhIK+mhGKT6GoySku5TubiwaUUH4frjbt3t2zt3uzu65IV2w0oRXM4WQPoRYWiRisYyREEsfr4RYaoiE"
        + "JPUnxNOSI2FONBIyiFPkMjuclSw8STZykJ1c5OQpcpOXPOQnH09TgII8Q2EKUZQiFKcYz1KC5yhJaUrxAs9ThhcpR1kqUJ5KVKQKlXmJqrzCy1Tj8z9DqJEpTagurkkNXqMWdajN"
        + "69TlDepRnzdpSAMa8RZNaMw7vM17vMv7JNCUD2jGh7SgOYm0pDWtaEsb2tOOjnSgM53oQpRudKUH3elFT/rQm4/5iH70ZQD9+ZRP4r3zGUnh8aMPYiCDSeYLhjCMoYxgOKMYyWi+"
        + "ZCxj+IpxjOdrvmECKXzLJCYyhclMYyozmM5Mzjk42z6Luczhe77jB+Yxn1QWcNUgXHP5j+JFLGQJi/mJpSxnGStZwSp+Zg2rWcdaNrCeTWxkC5vZxlZ2sJ1d7ORXfmEPu9nHXg6w"
        + "n0Mc5AiHOcZRTnCcU5zkDKfjvXOWC5znEhe5wmV+5zeMbPgj3jt/cZ1r3OQGt7nF39zhH+7yH/9yn3s84P/w6PMlhFatQ7uOIRpN7JIYHgJLUo8Z";

    [TestMethod]
    public void Encode_EqualScores_LeftmostPairMergesFirst()
    {
        TextTokenizer tokenizer = Load(NoPrefix().Piece("a", 0).Piece("aa", -1));
        CollectionAssert.AreEqual(new[] { First + 1, First + 1, First }, Encode(tokenizer, "aaaaa"));
    }

    [TestMethod]
    public void Encode_DifferentScores_HighestScoreMergesFirst()
    {
        TextTokenizer tokenizer = Load(NoPrefix().Piece("a", 0).Piece("b", 0).Piece("c", 0).Piece("ab", -2).Piece("bc", -1));
        CollectionAssert.AreEqual(new[] { First, First + 4 }, Encode(tokenizer, "abc"));
    }

    [TestMethod]
    public void Encode_PairThatIsNoPieceOfTwoPieces_StillMerges()
    {
        // "xy" is a piece though "x" and "y" are not: pairs are looked up by their text.
        TextTokenizer tokenizer = Load(NoPrefix().Piece("xy", -1));
        CollectionAssert.AreEqual(new[] { First, 3 + 'x' }, Encode(tokenizer, "xyx"));
    }

    [TestMethod]
    public void Encode_UserDefinedSymbols_LongestTakenWholeAndNeverMerged()
    {
        TextTokenizer tokenizer = Load(NoPrefix().Piece("a", 0).Piece("b", 0).Piece("bc", -1)
            .Piece("ab", 0, SentencePieceType.UserDefined).Piece("abc", 0, SentencePieceType.UserDefined).Piece("aab", -1));
        CollectionAssert.AreEqual(new[] { First, First + 4, First + 3, First + 1 }, Encode(tokenizer, "aabcabb"));
    }

    [TestMethod]
    public void Encode_UnusedPiece_GoesOutAsItsParts()
    {
        TextTokenizer tokenizer = Load(NoPrefix().Piece("a", 0).Piece("b", 0).Piece("ab", -1, SentencePieceType.Unused).Piece("aba", -2));
        CollectionAssert.AreEqual(new[] { First, First + 1, First + 1 }, Encode(tokenizer, "abb"));
        CollectionAssert.AreEqual(new[] { First + 3 }, Encode(tokenizer, "aba"));
    }

    [TestMethod]
    public void Encode_ControlPieceInText_IsOnlyParsedWhenAsked()
    {
        TextTokenizer tokenizer = Load(NoPrefix().Piece("a", 0));
        CollectionAssert.AreEqual(new[] { 1, First, 2 }, tokenizer.Encode("<s>a</s>", addSpecialTokens: false));
        CollectionAssert.AreEqual(new[] { 3 + '<', 3 + 's', 3 + '>', First }, Encode(tokenizer, "<s>a"));
    }

    [TestMethod]
    public void Encode_UnknownCharactersWithoutByteFallback_OneUnknownForARun()
    {
        TextTokenizer tokenizer = Load(NoPrefix(byteFallback: false).Piece("a", 0));
        CollectionAssert.AreEqual(new[] { 3, 0, 3, 0 }, Encode(tokenizer, "ax\U0001F999ya\u00e9"));
        Assert.AreEqual("a \u2047 a", tokenizer.Inner.Decode([3, 0, 3]));
        Assert.AreEqual("aa", tokenizer.Decode([3, 0, 3]));
        Assert.AreEqual("a<unk>a", tokenizer.Decode([3, 0, 3], skipSpecialTokens: false));
    }

    [TestMethod]
    [DataRow(true, true, "  a  b ", "▁a▁b", "a b")]
    [DataRow(true, false, "  a  b ", "▁▁▁a▁▁b▁", "  a  b ")]
    [DataRow(false, true, "  a  b ", "a▁b", "a b")]
    [DataRow(false, false, "  a  b ", "▁▁a▁▁b▁", "  a  b ")]
    [DataRow(true, true, "   ", "", "")]
    [DataRow(true, false, " ", "▁▁", " ")]
    [DataRow(true, true, "▁", "", "")]
    public void EncodeDecode_WhiteSpaceSettings_AsSentencePiece(bool prefix, bool trim, string text, string pieces, string decoded)
    {
        TextTokenizer tokenizer = Load(new SentencePieceModelBuilder().Normalizer(3, prefix).Normalizer(4, trim).Pieces("a", "b", "▁"));
        int[] ids = Encode(tokenizer, text);
        CollectionAssert.AreEqual(pieces.Select(c => tokenizer.TryGetId(c.ToString())!.Value).ToArray(), ids);
        // Without a prefix but with trimming, or with both, SentencePiece takes leading space away; with neither it keeps it.
        Assert.AreEqual(decoded, tokenizer.Decode(ids));
    }

    [TestMethod]
    [DataRow("A", "▁bc")]
    [DataRow("ABA", "▁Xbc")]
    [DataRow("\uFB01\u3000\u3000\u007Fx", "▁fi▁x")]
    [DataRow("\U0001F999\U0001F998", "▁llama\U0001F998")]
    [DataRow("\u007F", "")]
    public void Encode_PrecompiledCharsMap_ReplacesTheLongestMatch(string text, string normalized)
    {
        using var zlib = new ZLibStream(new MemoryStream(Convert.FromBase64String(CharsMap)), CompressionMode.Decompress);
        var map = new MemoryStream();
        zlib.CopyTo(map);
        TextTokenizer tokenizer = Load(new SentencePieceModelBuilder().CharsMap(map.ToArray()).Pieces("▁"));
        tokenizer.Inner.EncodeToTokens(text, out string? actual);
        Assert.AreEqual(normalized, actual);
    }

    [TestMethod]
    public void Encode_SectionAfterSpecialToken_PrefixOnlyWithLegacy()
    {
        byte[] model = new SentencePieceModelBuilder().Pieces("a", "▁", "▁a").Build();
        int[] legacy = TokenizerFiles.FromModel(model).Encode("a</s>a");
        int[] notLegacy = TokenizerFiles.FromModel(model, """{"legacy": false}""").Encode("a</s>a");
        CollectionAssert.AreEqual(new[] { 1, First + 2, 2, First + 2 }, legacy);
        CollectionAssert.AreEqual(new[] { 1, First + 2, 2, First }, notLegacy);
    }

    [TestMethod]
    public void EncodeToTokens_TextWithBytes_BoundsAreThoseOfTheNormalizedText()
    {
        Tokenizer tokenizer = Load(new SentencePieceModelBuilder().Pieces("a", "▁", "▁a")).Inner;
        IReadOnlyList<EncodedToken> tokens = tokenizer.EncodeToTokens("a \u00e9", out string? normalized);
        Assert.AreEqual("▁a▁\u00e9", normalized);
        CollectionAssert.AreEqual(new[] { "▁a", "▁", "<0xC3>", "<0xA9>" }, tokens.Select(token => token.Value).ToArray());
        CollectionAssert.AreEqual(new[] { 0..2, 2..3, 3..4, 3..4 }, tokens.Select(token => token.Offset).ToArray());
        Assert.AreEqual(4, tokenizer.CountTokens("a \u00e9"));
        Assert.AreEqual(3, tokenizer.GetIndexByTokenCount("a \u00e9", 2, out _, out int count));
        Assert.AreEqual(2, count);
    }

    [TestMethod]
    public void Decode_IntoSpan_StopsAtTheLastTokenThatFits()
    {
        Tokenizer tokenizer = Load(NoPrefix().Pieces("ab", "cd")).Inner;
        char[] chars = new char[3];
        Assert.AreEqual(OperationStatus.DestinationTooSmall, tokenizer.Decode([First, First + 1], chars, out int consumed, out int written));
        Assert.AreEqual((1, 2), (consumed, written));
        Assert.AreEqual(OperationStatus.Done, tokenizer.Decode([First, 3 + 'x'], chars, out consumed, out written));
        Assert.AreEqual((2, 3, "abx"), (consumed, written, new string(chars)));
    }

    private static SentencePieceModelBuilder NoPrefix(bool byteFallback = true) =>
        new SentencePieceModelBuilder(byteFallback).Normalizer(3, false).Normalizer(4, false);

    private static TextTokenizer Load(SentencePieceModelBuilder model) => TokenizerFiles.FromModel(model.Build());

    private static int[] Encode(TextTokenizer tokenizer, string text) =>
        tokenizer.Encode(text, addSpecialTokens: false, parseSpecialTokens: false);
}
