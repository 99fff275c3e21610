using System.Text.Json;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class BenchServeCommandTests
{
    [TestMethod]
    public async Task Serve_SweepAsJson_HasAnObjectARateAndAPage()
    {
        string html = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid()}.html");
        try
        {
            var result = await CommandLine.RunAsync("bench", "serve", "--device", "cpu", "--requests", "4", "--rate", "100,inf", "--input-len", "6", "--output-len", "3",
                "--burstiness", "0.5", "--goodput", "ttft:60000", "tpot:0", "--metric-percentiles", "50,99.9", "--html", html, "--json");
            Assert.AreEqual((0, ""), (result.ExitCode, result.Error));
            var rows = result.Lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();
            Assert.AreEqual(2, rows.Count);
            Assert.AreEqual((100.0, JsonValueKind.Null), (rows[0].GetProperty("request_rate").GetDouble(), rows[1].GetProperty("request_rate").ValueKind));
            Assert.AreEqual((4, 12, "gamma"), (rows[0].GetProperty("completed").GetInt32(), rows[0].GetProperty("total_output_tokens").GetInt32(), rows[0].GetProperty("distribution").GetString()));
            Assert.AreEqual(0, rows[0].GetProperty("request_goodput").GetDouble(), "no token takes no time");
            Assert.IsTrue(rows[0].GetProperty("p99.9_ttft_ms").GetDouble() >= rows[0].GetProperty("median_ttft_ms").GetDouble());
            Assert.AreEqual(3, File.ReadAllText(html).Split("<svg").Length - 1, "three curves");
        }
        finally
        {
            File.Delete(html);
        }
    }

    [TestMethod]
    public async Task Serve_BadOptions_AreUsageErrors()
    {
        (await Run("--rate", "fast")).AssertError(2, "--request-rate: 'fast' is not a number or inf");
        (await Run("--rate", "0")).AssertError(2, "--request-rate: 0 must be above 0");
        (await Run("--dist", "normal")).AssertError(2, "--dist: 'normal' is not a distribution");
        (await Run("--dist", "constant", "--burstiness", "2")).AssertError(2, "--burstiness: does not go with --dist constant");
        (await Run("--goodput", "ttft")).AssertError(2, "--goodput: 'ttft' is not a metric with its limit");
        (await Run("--goodput", "ttft:x")).AssertError(2, "--goodput: 'ttft:x' is not a metric with its limit");
        (await Run("--goodput", "itl:5")).AssertError(2, "--goodput: 'itl' is not a metric");
        (await Run("--input-len", "1000", "--output-len", "100")).AssertError(2, "--random-input-len: prompts of up to 1000 tokens and 100 new ones do not fit max-model-len, 1024");
        (await Run("--html", "/no/such/folder/serve.html")).AssertError(1, "/no/such/folder/serve.html: cannot be written");
        (await Run("--metric-percentiles", "101")).AssertError(2, "--metric-percentiles: 101");

        static Task<CommandLineResult> Run(params string[] args) => CommandLine.RunAsync(["bench", "serve", "--device", "cpu", .. args]);
    }
}
