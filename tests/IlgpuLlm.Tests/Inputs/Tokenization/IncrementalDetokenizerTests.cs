using System.Text;
using IlgpuLlm.Inputs.Tokenization;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>Text given out token by token.</summary>
[TestClass]
public sealed class IncrementalDetokenizerTests
{
    [TestMethod]
    public void Append_CharacterInFourTokens_AppearsWithTheLast()
    {
        foreach (TextTokenizer tokenizer in Tokenizers())
        {
            int[] ids = tokenizer.Encode("\U0001F999", addSpecialTokens: false)[^4..];
            IncrementalDetokenizer detokenizer = tokenizer.CreateDetokenizer([]);
            CollectionAssert.AreEqual(new[] { "", "", "", "\U0001F999" }, ids.Select(detokenizer.Append).ToArray());
            Assert.AreEqual("", detokenizer.Flush());
        }
    }

    [TestMethod]
    public void Append_CharacterBegunInThePrompt_AppearsWhole()
    {
        foreach (TextTokenizer tokenizer in Tokenizers())
        {
            int[] ids = tokenizer.Encode("\u00e9", addSpecialTokens: false)[^2..];
            Assert.AreEqual("\u00e9", tokenizer.CreateDetokenizer([ids[0]]).Append(ids[1]));
        }
    }

    [TestMethod]
    public void Flush_UnfinishedCharacter_IsReplaced()
    {
        foreach (TextTokenizer tokenizer in Tokenizers())
        {
            int[] ids = tokenizer.Encode("\u00e9", addSpecialTokens: false)[^2..];
            IncrementalDetokenizer detokenizer = tokenizer.CreateDetokenizer([]);
            Assert.AreEqual("", detokenizer.Append(ids[0]));
            Assert.AreEqual("\uFFFD", detokenizer.Flush());
            Assert.AreEqual("\uFFFD", tokenizer.Decode(ids.AsSpan(0, 1)));
        }
    }

    [TestMethod]
    public void Append_FirstWord_KeepsItsSpaceOnlyAfterAPrompt()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromJson(SmallTokenizers.Fallback());
        int word = tokenizer.TryGetId("▁a")!.Value;
        Assert.AreEqual("a", tokenizer.CreateDetokenizer([]).Append(word));
        Assert.AreEqual("a", tokenizer.CreateDetokenizer([tokenizer.BosTokenId!.Value]).Append(word), "BOS has no text");
        Assert.AreEqual(" a", tokenizer.CreateDetokenizer(tokenizer.Encode("b")).Append(word));
    }

    [TestMethod]
    public void Append_SpecialToken_IsLeftOutOrShown()
    {
        TextTokenizer tokenizer = TokenizerFiles.FromJson(SmallTokenizers.Fallback());
        Assert.AreEqual("", tokenizer.CreateDetokenizer([], skipSpecialTokens: true).Append(2));
        Assert.AreEqual("</s>", tokenizer.CreateDetokenizer([], skipSpecialTokens: false).Append(2));
    }

    [TestMethod]
    public void Append_IdWithoutToken_GivesNoText()
    {
        foreach (TextTokenizer tokenizer in Tokenizers())
        {
            IncrementalDetokenizer detokenizer = tokenizer.CreateDetokenizer([]);
            Assert.AreEqual("", detokenizer.Append(tokenizer.VocabSize));
            Assert.AreEqual("", detokenizer.Append(int.MaxValue));
            Assert.AreEqual("", detokenizer.Append(-1));
        }
    }

    [TestMethod]
    public void Append_RandomIds_PiecesAreTheDecodedText()
    {
        // The small SentencePiece and byte-level tokenizers decode byte by byte, so this holds for any ids, valid UTF-8 or not.
        var random = new Random(1);
        foreach (TextTokenizer tokenizer in Tokenizers().Skip(1))
        {
            for (int round = 0; round < 2000; round++)
            {
                int[] ids = [.. Enumerable.Range(0, random.Next(12)).Select(_ => random.Next(tokenizer.VocabSize))];
                IncrementalDetokenizer detokenizer = tokenizer.CreateDetokenizer([]);
                StringBuilder text = new();
                foreach (int id in ids)
                    text.Append(detokenizer.Append(id));
                Assert.AreEqual(tokenizer.Decode(ids), text.Append(detokenizer.Flush()).ToString(), string.Join(", ", ids));
            }
        }
    }

    private static IEnumerable<TextTokenizer> Tokenizers() =>
    [
        TokenizerFiles.FromJson(SmallTokenizers.Fallback()),
        TokenizerFiles.FromModel(new SentencePieceModelBuilder().Pieces("a", "▁", "▁a").Build()),
        TokenizerFiles.FromJson(SmallTokenizers.ByteLevel()),
    ];
}
