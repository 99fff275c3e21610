using System.Diagnostics;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>Encoding takes time nearly linear in the text: 1 MB of prose and 1 MB of one character, which merges into one long chain.</summary>
[TestClass]
public sealed class TokenizerSpeedTests
{
    private const int NumChars = 1 << 20;

    // Measured 0.8 to 1.7 s on 2 cores that 15 processes shared; quadratic algorithms take minutes.
    private const double LimitSeconds = 10;

    /// <summary>Where measured times go.</summary>
    public TestContext TestContext { get; set; } = null!;

    [TestMethod]
    [DataRow("tokenizers/llama2", "tokenizer.model")]
    [DataRow("tokenizers/llama2", "tokenizer.json")]
    [DataRow("tokenizers/llama3", "tokenizer.json")]
    public void EncodeDecode_OneMegabyte_TakesSeconds(string folder, string file)
    {
        TextTokenizer tokenizer = TokenizerFiles.Shared(folder, file);
        string tales = File.ReadAllText(TestData.Shared("demo", "heldout.txt"));
        string prose = string.Concat(Enumerable.Repeat(tales, (NumChars / tales.Length) + 1))[..NumChars];
        foreach ((string name, string text) in new[] { ("prose", prose), ("a", new string('a', NumChars)), (" ", new string(' ', NumChars)) })
        {
            var watch = Stopwatch.StartNew();
            int[] ids = tokenizer.Encode(text, addSpecialTokens: false);
            double encodeSeconds = watch.Elapsed.TotalSeconds;
            watch.Restart();
            Assert.AreEqual(text, tokenizer.Decode(ids));
            double decodeSeconds = watch.Elapsed.TotalSeconds;
            watch.Restart();
            IncrementalDetokenizer detokenizer = tokenizer.CreateDetokenizer([]);
            int length = ids.Sum(id => detokenizer.Append(id).Length) + detokenizer.Flush().Length;
            double incrementalSeconds = watch.Elapsed.TotalSeconds;
            Assert.AreEqual(text.Length, length);
            TestContext.WriteLine(
                $"{folder}/{file} 1 MB of \"{name}\": {ids.Length} tokens, encode {encodeSeconds:F2} s, decode {decodeSeconds:F2} s, "
                + $"one by one {incrementalSeconds:F2} s");
            Assert.IsLessThan(LimitSeconds, encodeSeconds);
            Assert.IsLessThan(LimitSeconds, decodeSeconds + incrementalSeconds);
        }
    }
}
