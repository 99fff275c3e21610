using System.Text;
using System.Text.Json;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>The 970 strings of ../shared/vectors/tokenizer_fuzz.json, encoded and decoded by SentencePiece and Hugging Face.</summary>
[TestClass]
public sealed class TokenizerFuzzVectorTests
{
    private const int NumTexts = 970;

    [TestMethod]
    [DataRow("tokenizers/llama2", "tokenizer.model")]
    [DataRow("tokenizers/llama2", "tokenizer.json")]
    [DataRow("tokenizers/mistral-v1", "tokenizer.model")]
    [DataRow("tokenizers/mistral-v1", "tokenizer.json")]
    [DataRow("models/stories260K", "tokenizer.model")]
    [DataRow("tokenizers/llama3", "tokenizer.json")]
    public void EncodeDecode_FuzzStrings_EveryRowEqual(string folder, string file)
    {
        TextTokenizer tokenizer = TokenizerFiles.Shared(folder, file);
        List<string> differences = [];
        foreach ((string text, int[] ids, string decoded) in Rows(folder))
        {
            int[] actual = tokenizer.Encode(text, addSpecialTokens: false, parseSpecialTokens: false);
            if (!ids.SequenceEqual(actual))
                differences.Add($"encode \"{text}\": [{string.Join(", ", actual)}] instead of [{string.Join(", ", ids)}]");
            string actualText = tokenizer.Decode(ids, skipSpecialTokens: false);
            if (decoded != actualText)
                differences.Add($"decode [{string.Join(", ", ids)}]: \"{actualText}\" instead of \"{decoded}\"");
        }
        Assert.IsEmpty(differences, string.Join('\n', differences));
    }

    [TestMethod]
    public void EncodeDecode_Stories260KJsonOnFuzzStrings_EqualWhereNothingIsTrimmed()
    {
        // The expected ids are SentencePiece's, whose model trims white space; tokenizer.json of the same model does not. So the rows whose text
        // has spaces at an end or in a row are not comparable; all others are.
        TextTokenizer tokenizer = TokenizerFiles.Shared("models/stories260K", "tokenizer.json");
        int numCompared = 0;
        foreach ((string text, int[] ids, string decoded) in Rows("models/stories260K"))
        {
            if (text.StartsWith(' ') || text.EndsWith(' ') || text.Contains("  ", StringComparison.Ordinal))
                continue;
            CollectionAssert.AreEqual(ids, tokenizer.Encode(text, addSpecialTokens: false), text);
            Assert.AreEqual(decoded, tokenizer.Decode(ids));
            numCompared++;
        }
        Assert.AreEqual(346, numCompared);
    }

    [TestMethod]
    [DataRow("tokenizers/llama2", "tokenizer.model")]
    [DataRow("tokenizers/llama2", "tokenizer.json")]
    [DataRow("tokenizers/mistral-v1", "tokenizer.json")]
    [DataRow("models/stories260K", "tokenizer.model")]
    [DataRow("tokenizers/llama3", "tokenizer.json")]
    public void Append_FuzzStringsCutAnywhere_PiecesAreTheTextAfterThePrompt(string folder, string file)
    {
        TextTokenizer tokenizer = TokenizerFiles.Shared(folder, file);
        foreach ((_, int[] ids, _) in Rows(folder))
        {
            string whole = tokenizer.Decode(ids);
            // A prompt of every length would be quadratic; these cover none, one token, the middle of bytes and words, all but one.
            foreach (int numPrompt in new[] { 0, 1, ids.Length / 3, ids.Length / 2, ids.Length - 1 })
            {
                if (numPrompt < 0 || numPrompt > ids.Length)
                    continue;
                // The prompt's text as far as it is certain; where it ends inside a character, that character is the first one given out.
                IncrementalDetokenizer promptDetokenizer = tokenizer.CreateDetokenizer([]);
                string prompt = string.Concat(ids[..numPrompt].Select(promptDetokenizer.Append));
                IncrementalDetokenizer detokenizer = tokenizer.CreateDetokenizer(ids.AsSpan(0, numPrompt));
                StringBuilder pieces = new();
                foreach (int id in ids.AsSpan(numPrompt))
                {
                    string piece = detokenizer.Append(id);
                    Assert.IsFalse(piece.Contains('\uFFFD', StringComparison.Ordinal), "half a character was given out");
                    Assert.IsTrue(piece.Length == 0 || !char.IsHighSurrogate(piece[^1]), "half a surrogate pair was given out");
                    pieces.Append(piece);
                }
                pieces.Append(detokenizer.Flush());
                Assert.AreEqual(whole[prompt.Length..], pieces.ToString());
            }
        }
    }

    private static IEnumerable<(string Text, int[] Ids, string Decoded)> Rows(string folder)
    {
        JsonElement file = TestData.Json(TestData.Shared("vectors", "tokenizer_fuzz.json"));
        JsonElement texts = file.GetProperty("texts");
        JsonElement ids = file.GetProperty("ids").GetProperty(folder);
        JsonElement decoded = file.GetProperty("decoded").GetProperty(folder);
        Assert.AreEqual(NumTexts, texts.GetArrayLength());
        for (int i = 0; i < NumTexts; i++)
            yield return (texts[i].GetString()!, [.. ids[i].EnumerateArray().Select(id => id.GetInt32())], decoded[i].GetString()!);
    }
}
