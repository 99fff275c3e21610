using System.Text;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class GenerateErrorTests
{
    [TestMethod]
    [DataRow("no command", new string[] { })]
    [DataRow("'foo'", new[] { "foo" })]
    [DataRow("no prompt", new[] { "generate" })]
    [DataRow("'--temprature'", new[] { "generate", "x", "--temprature", "0" })]
    [DataRow("'-x'", new[] { "generate", "-x", "--", "-y" })]
    [DataRow("--seed: 'x' is not a whole number", new[] { "generate", "x", "--seed", "x" })]
    [DataRow("--seed: '99999999999999999999'", new[] { "generate", "x", "--seed", "99999999999999999999" })]
    [DataRow("--temperature: '1,5' is not a number", new[] { "generate", "x", "--temperature", "1,5" })]
    [DataRow("--temperature: NaN must be finite", new[] { "generate", "x", "--temperature", "NaN" })]
    [DataRow("--temperature: Infinity must be finite", new[] { "generate", "x", "--temperature", "Infinity" })]
    [DataRow("--top-p: 2 must be in (0, 1]", new[] { "generate", "x", "--top-p", "2" })]
    [DataRow("--top-k: -2 must be", new[] { "generate", "x", "--top-k", "-2" })]
    [DataRow("--max-tokens: 0 must be at least 1", new[] { "generate", "x", "--max-tokens", "0" })]
    [DataRow("--min-tokens: 9 must not exceed", new[] { "generate", "x", "--max-tokens", "8", "--min-tokens", "9" })]
    [DataRow("--n: 2 must be 1 with greedy", new[] { "generate", "x", "--n", "2", "--temperature", "0" })]
    [DataRow("--n: 2000000000 must be at most", new[] { "generate", "x", "--n", "2000000000" })]
    [DataRow("--json takes no value", new[] { "generate", "x", "--json=false" })]
    [DataRow("--stats takes no value", new[] { "generate", "x", "--stats:false" })]
    [DataRow("--stop: an empty string", new[] { "generate", "x", "--stop", "" })]
    [DataRow("--stop-token-ids: '1;2'", new[] { "generate", "x", "--stop-token-ids", "1;2" })]
    [DataRow("--prompt-ids: '1,x'", new[] { "generate", "--prompt-ids", "1,x" })]
    [DataRow("--prompt-ids: token id 4096 is out of range", new[] { "generate", "--prompt-ids", "1,4096" })]
    [DataRow("--kv-cache-memory: '2 apples'", new[] { "generate", "x", "--kv-cache-memory", "2 apples" })]
    [DataRow("--block-size: 0 must be in", new[] { "generate", "x", "--block-size", "0" })]
    [DataRow("--dtype: int2 is not supported", new[] { "generate", "x", "--dtype", "int2" })]
    [DataRow("--quantization: gptq needs a checkpoint that is quantized by it", new[] { "generate", "x", "--quantization", "gptq" })]
    [DataRow("--kv-cache-dtype: fp8 is not supported; supported: auto, fp16, int8", new[] { "generate", "x", "--kv-cache-dtype", "fp8" })]
    [DataRow("--load-format: pt is not supported", new[] { "generate", "x", "--load-format", "pt" })]
    [DataRow("--device: 'metal' is not supported", new[] { "generate", "x", "--device", "metal" })]
    [DataRow("--device: 'tpu' is not a device; supported: auto, cpu", new[] { "generate", "x", "--device", "tpu" })]
    [DataRow("--device: 'cuda:99'", new[] { "generate", "x", "--device", "cuda:99" })]
    [DataRow("--max-model-len: 5000 exceeds", new[] { "generate", "x", "--max-model-len", "5000" })]
    [DataRow("standard input has no prompts", new[] { "generate", "--prompts", "-" })]
    public async Task Generate_BadUsage_IsOneLineAndExitCode2(string part, string[] args) => (await CommandLine.RunAsync(args)).AssertError(2, part);

    [TestMethod]
    [DataRow("/no/such/folder", new[] { "generate", "x", "--model", "/no/such/folder" })]
    [DataRow("/no/such/file", new[] { "generate", "--prompts", "/no/such/file" })]
    [DataRow("prompt: has 41 tokens", new[] { "generate", "--max-model-len", "40", "--device", "cpu", "--prompt-ids", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41" })]
    [DataRow("prompt: is empty", new[] { "generate", "--device", "cpu", "--prompt-ids", "" })]
    [DataRow("the largest that fits is 16", new[] { "generate", "x", "--device", "cpu", "--num-blocks", "1", "--max-model-len", "100" })]
    public async Task Generate_Failure_IsOneLineAndExitCode1(string part, string[] args) => (await CommandLine.RunAsync(args)).AssertError(1, part);

    [TestMethod]
    public async Task Generate_Verbose_AddsTheDetails()
    {
        var result = await CommandLine.RunAsync("generate", "x", "--model", "/no/such/folder", "--verbose");
        Assert.AreEqual(1, result.ExitCode);
        StringAssert.StartsWith(result.Error, "error: /no/such/folder");
        StringAssert.Contains(result.Error, nameof(CheckpointException));
        StringAssert.Contains(result.Error, "   at ");
    }

    [TestMethod]
    public async Task Generate_PromptsNotUtf8_NamesTheFile()
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(file, [.. "fine\n"u8, 0xff, 0xfe, 0xff]);
            (await CommandLine.RunAsync("generate", "--prompts", file)).AssertError(1, file, "UTF-8");
        }
        finally
        {
            File.Delete(file);
        }
    }

    [TestMethod]
    public async Task Generate_TextForModelWithoutTokenizer_SaysSo() =>
        (await CommandLine.RunAsync("generate", "x", "--device", "cpu", "--model", TestData.Committed("zoo", "llama-gqa"))).AssertError(1, "no tokenizer");

    [TestMethod]
    public async Task Generate_LogitsNotFinite_FailsThatRequest()
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string source = TestData.Committed("zoo", "llama-gqa");
            File.Copy(Path.Combine(source, "config.json"), Path.Combine(folder, "config.json"));
            byte[] weights = await File.ReadAllBytesAsync(Path.Combine(source, "model.safetensors"));
            // All ones is a NaN in float32; the header stays.
            int header = 8 + (int)BitConverter.ToInt64(weights);
            weights.AsSpan(header).Fill(0xff);
            await File.WriteAllBytesAsync(Path.Combine(folder, "model.safetensors"), weights);
            var streamed = await CommandLine.RunAsync("generate", "--prompt-ids", "1,2", "--device", "cpu", "--model", folder);
            Assert.AreEqual((1, "\n"), (streamed.ExitCode, streamed.Out));
            StringAssert.StartsWith(streamed.Error, "error: ");
            var batch = await CommandLine.RunAsync("generate", "--prompt-ids", "1,2", "--device", "cpu", "--model", folder, "--json");
            Assert.AreEqual(1, batch.ExitCode);
            StringAssert.StartsWith(batch.Error, "error: prompt 1 of 1");
            StringAssert.Contains(batch.Out, "\"finish_reason\":\"error\"");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [TestMethod]
    public async Task Generate_Cancelled_ExitsWith130AndSaysNothing()
    {
        using var cancellation = new CancellationTokenSource();
        var output = new CallbackWriter(cancellation.Cancel);
        var result = await CommandLine.RunAsync(["generate", "Once", "--device", "cpu", "--max-tokens", "900", "--ignore-eos"], "", output, cancellation.Token);
        Assert.AreEqual((130, ""), (result.ExitCode, result.Error));
    }

    [TestMethod]
    public async Task Generate_OutputFails_IsAnError()
    {
        var output = new CallbackWriter(() => throw new IOException("No space left on device"));
        var result = await CommandLine.RunAsync(["generate", "Once", "--device", "cpu"], "", output, default);
        Assert.AreEqual((1, "error: No space left on device\n"), (result.ExitCode, result.Error));
    }

    /// <summary>Does something at the first character.</summary>
    private sealed class CallbackWriter(Action callback) : StringWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(string? value)
        {
            base.Write(value);
            callback();
        }
    }
}
