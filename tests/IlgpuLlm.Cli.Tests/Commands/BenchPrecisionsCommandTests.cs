using System.Diagnostics;
using System.Globalization;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class BenchPrecisionsCommandTests
{
    [TestMethod]
    public async Task Precisions_Demo_PrintsTheTablesOfItsReport()
    {
        string logs = Directory.CreateTempSubdirectory("ilgpullm-test-").FullName;
        try
        {
            var result = await CommandLine.RunAsync("bench", "precisions", "-d", "cpu", "-n", "demo", "-r", "2", "-m", "6", "--precisions", "float16,int4", "--batch-sizes", "",
                "--logs-dir", logs, "-lf", "my.log");
            Assert.AreEqual(0, result.ExitCode, result.Error);
            string folder = result.Lines[^1];
            StringAssert.StartsWith(folder, Path.Combine(logs, "demo", "IlgpuLlm-"));
            var report = TestData.Json(Path.Combine(folder, "report.json"));
            foreach (var precision in report.GetProperty("precisions").EnumerateArray())
            {
                string rate = precision.GetProperty("tokens_per_second").GetProperty("mean").GetDouble().ToString("F2", CultureInfo.InvariantCulture);
                StringAssert.Contains(result.Out, rate);
                StringAssert.Contains(result.Error, $"demo-IlgpuLlm (token/sec), {precision.GetProperty("precision")}: {rate} ± ");
            }
            Assert.AreEqual(File.ReadAllText(Path.Combine(folder, "my.log")), result.Error.ReplaceLineEndings("\n"));
        }
        finally
        {
            Directory.Delete(logs, recursive: true);
        }
    }

    [TestMethod]
    public async Task Precisions_BadOptions_AreErrors()
    {
        (await Run("--foo")).AssertError(2, "--foo");
        (await Run("-r", "many")).AssertError(2, "--repetitions: 'many' is not a whole number");
        (await Run("-r", "0")).AssertError(2, "--repetitions: 0 must be at least 1");
        (await Run("-m", "0")).AssertError(2, "--max_tokens: 0 must be at least 1");
        (await Run("-m")).AssertError(2, "-m");
        (await Run("--batch-sizes", "1;2")).AssertError(2, "--batch-sizes: '1;2' is not a list of numbers");
        (await Run("--precisions", "int3")).AssertError(2, "'int3' is not a precision");
        (await Run("--questions", "/none.json")).AssertError(1, "/none.json: cannot be read");
        (await CommandLine.RunAsync("bench", "precisions", "-d", "metal")).AssertError(1, "metal: is not supported");
        (await CommandLine.RunAsync("bench", "precisions", "-d", "cpu", "-n", "nosuch")).AssertError(1, "nosuch: no such folder");
        (await CommandLine.RunAsync("bench", "precisions", "-d", "cpu", "--models-dir", "/none")).AssertError(1, "/none/llama-2-7b-chat-hf", "--model_name demo", "--dummy");

        static Task<CommandLineResult> Run(params string[] args) => CommandLine.RunAsync(["bench", "precisions", "-d", "cpu", "-n", "demo", .. args]);
    }

    [TestMethod]
    public async Task BenchSh_Program_GetsItsArgumentsAsTheyAre()
    {
        if (OperatingSystem.IsWindows())
            throw new AssertInconclusiveException("skipped: bench.sh needs a shell");
        string folder = Directory.CreateTempSubdirectory("ilgpullm-test-").FullName;
        try
        {
            string program = Path.Combine(folder, "program");
            File.WriteAllText(program, "#!/bin/sh\nfor a in \"$@\"; do echo \"[$a]\"; done\nexit 3\n");
            File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            var start = new ProcessStartInfo("bash", [Path.Combine(TestData.Root, "bench", "bench.sh"), "-p", "two words", "--max_tokens", "5"])
            {
                RedirectStandardOutput = true,
                Environment = { ["ILGPULLM"] = program },
            };
            using var process = Process.Start(start)!;
            Assert.AreEqual("[bench]\n[precisions]\n[-p]\n[two words]\n[--max_tokens]\n[5]\n", await process.StandardOutput.ReadToEndAsync());
            await process.WaitForExitAsync();
            Assert.AreEqual(3, process.ExitCode);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
