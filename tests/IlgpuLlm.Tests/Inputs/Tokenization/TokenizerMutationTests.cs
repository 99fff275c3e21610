using System.Diagnostics;
using System.Text;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Inputs.Tokenization;

/// <summary>
/// 10,000 damaged tokenizer files, always the same ones: each loads and works, or is refused with a typed error; none hangs or takes much memory.
/// </summary>
[TestClass]
public sealed class TokenizerMutationTests
{
    private const int NumMutations = 2500;

    // The largest file has 15 kB, and loading it takes 1 MB.
    private const long MaxAllocatedBytes = 8 << 20;

    private static readonly string[] Tokens =
    [
        "\"", "{", "}", "[", "]", ",", ":", "null", "true", "-1", "0", "2147483648", "99999999999999999999", "1e999", "0.5", "\"\\ud800\"", "\"▁\"",
        "{\"type\":\"Sequence\"}", "[[[[[[[[", "{\"String\":\"\"}", "\"Regex\":\"((a*)*)*b\",", "\"id\":1000000000,", "\"<0x00>\"",
        "\u0000", "\uFEFF",
    ];

    [TestMethod]
    [DataRow("tokenizer.model")]
    [DataRow("tokenizer.json")]
    [DataRow("byte-level.json")]
    [DataRow("tokenizer_config.json")]
    public void Load_DamagedFile_OnlyTypedErrors(string name)
    {
        byte[] original = name == "byte-level.json"
            ? Encoding.UTF8.GetBytes(SmallTokenizers.ByteLevel().ToJsonString())
            : File.ReadAllBytes(TestData.Shared("models", "stories260K", name));
        string tokenizer = SmallTokenizers.Fallback().ToJsonString();
        var random = new Random(name.Length);
        int numLoaded = 0;
        int numRefused = 0;
        for (int round = 0; round < NumMutations; round++)
        {
            byte[] mutated = Mutate(original, random);
            long before = GC.GetAllocatedBytesForCurrentThread();
            var watch = Stopwatch.StartNew();
            try
            {
                if (name == "tokenizer_config.json")
                    Use(TokenizerLoader.Build(Encoding.UTF8.GetBytes(tokenizer), "tokenizer.json", TokenizerLoader.ReadConfig(mutated, name)));
                else
                    Use(TokenizerLoader.Build(mutated, name, new TokenizerConfig()));
                numLoaded++;
            }
            catch (Exception e) when (e is CheckpointException or InvalidRequestException)
            {
                numRefused++;
            }
            catch (Exception e)
            {
                Assert.Fail($"{name}, round {round}: {e}");
            }
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.IsLessThan(MaxAllocatedBytes, allocated, $"{name}, round {round}: bytes allocated");
            Assert.IsLessThan(15, watch.Elapsed.TotalSeconds, $"{name}, round {round}: seconds");
        }
        // Both ways are taken often: otherwise the damage would be too little or too much to test anything.
        Assert.IsGreaterThan(NumMutations / 50, numLoaded, $"{numLoaded} loaded, {numRefused} refused");
        Assert.IsGreaterThan(NumMutations / 10, numRefused, $"{numLoaded} loaded, {numRefused} refused");
    }

    private static void Use(TextTokenizer tokenizer)
    {
        int[] ids = tokenizer.Encode("<s>Once upon\ta t\u00efme, 12 \U0001F999\U00020000!  \uD800</s>");
        tokenizer.Decode(ids);
        IncrementalDetokenizer detokenizer = tokenizer.CreateDetokenizer([.. Enumerable.Range(0, Math.Min(tokenizer.VocabSize, 600))]);
        foreach (int id in ids)
            detokenizer.Append(id);
        detokenizer.Flush();
    }

    private static byte[] Mutate(byte[] original, Random random)
    {
        List<byte> bytes = [.. original];
        for (int count = random.Next(1, 4); count > 0; count--)
        {
            int position = random.Next(bytes.Count);
            switch (random.Next(5))
            {
                case 0:
                    bytes[position] ^= (byte)(1 << random.Next(8));
                    break;
                case 1 when random.Next(4) == 0:
                    bytes.RemoveRange(position, bytes.Count - position);
                    break;
                case 2:
                    bytes.RemoveRange(position, Math.Min(random.Next(1, 40), bytes.Count - position));
                    break;
                case 3:
                    int from = random.Next(original.Length);
                    bytes.InsertRange(position, original.AsSpan(from, Math.Min(random.Next(1, 400), original.Length - from)).ToArray());
                    break;
                default:
                    bytes.InsertRange(position, Encoding.UTF8.GetBytes(Tokens[random.Next(Tokens.Length)]));
                    break;
            }
            if (bytes.Count == 0)
                break;
        }
        return [.. bytes];
    }
}
