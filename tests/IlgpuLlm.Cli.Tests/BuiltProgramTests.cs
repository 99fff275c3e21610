namespace IlgpuLlm.Cli.Tests;

[TestClass]
public sealed class BuiltProgramTests
{
    private const string Prompt = "generate 'Once upon a time' --device cpu --temperature 0";

    [TestMethod]
    public async Task Generate_InAShell_SeparatesTextFromStats()
    {
        var result = await BuiltProgram.ShellAsync($"ilgpullm {Prompt} --dtype float32 --max-tokens 64 --stats");
        Assert.AreEqual((0, DemoGolden.First.GreedyText), (result.ExitCode, result.Out.Trim()));
        StringAssert.StartsWith(result.Error, "model ");
        Assert.IsFalse(result.Error.Contains('\u001b'), "no escape sequences where stderr is no terminal");
    }

    [TestMethod]
    public async Task Generate_ReaderLeaves_EndsQuietlyWith0()
    {
        var result = await BuiltProgram.ShellAsync($"ilgpullm {Prompt} --max-tokens 1000 --ignore-eos | head -c 10");
        Assert.AreEqual((0, 10, ""), (result.ExitCode, result.Out.Length, result.Error));
    }

    [TestMethod]
    public async Task Generate_DiskFull_FailsWithOneLine()
    {
        if (!File.Exists("/dev/full"))
            Assert.Inconclusive("skipped: no /dev/full");
        (await BuiltProgram.ShellAsync($"ilgpullm {Prompt} --max-tokens 2 > /dev/full")).AssertError(1);
    }

    [TestMethod]
    public async Task Generate_OutAndErrorInOneFile_LosesNothing()
    {
        string file = Path.GetTempFileName();
        try
        {
            await BuiltProgram.ShellAsync($"echo first > '{file}'; ilgpullm {Prompt} --max-tokens 4 --stats >> '{file}' 2>&1");
            string[] lines = await File.ReadAllLinesAsync(file);
            Assert.AreEqual(7, lines.Length, string.Join('|', lines));
            Assert.AreEqual(("first", "memory"), (lines[0], lines[^1].Split(' ')[0]));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [TestMethod]
    public async Task Generate_Running_StreamsTextBeforeTheEnd()
    {
        using var process = BuiltProgram.Start("ilgpullm.dll", "generate", "Once", "--device", "cpu", "--max-tokens", "1000", "--ignore-eos");
        char[] first = new char[8];
        int numRead = await process.StandardOutput.ReadBlockAsync(first);
        Assert.AreEqual(8, numRead);
        Assert.IsFalse(process.HasExited, "text came while the program ran");
        process.Kill();
    }

    [TestMethod]
    public async Task Generate_Interrupted_ExitsWith130()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Inconclusive("skipped: kill and env as Linux has them");
        var process = BuiltProgram.StartInterruptible("generate", "Once", "--device", "cpu", "--max-tokens", "1000", "--ignore-eos");
        await process.StandardOutput.ReadBlockAsync(new char[1]);
        using (var kill = System.Diagnostics.Process.Start("kill", ["-INT", $"{process.Id}"]))
            await kill.WaitForExitAsync();
        var result = await BuiltProgram.FinishAsync(process);
        Assert.AreEqual((130, ""), (result.ExitCode, result.Error));
    }

    [TestMethod]
    public async Task Tokenize_Utf8_HasNoByteOrderMark()
    {
        var result = await BuiltProgram.ShellAsync("printf '\"\\xc3\\xa9\"\\n' | LC_ALL=C ilgpullm tokenize --jsonl - | ilgpullm tokenize --decode --jsonl - | od -An -tx1");
        Assert.AreEqual((0, "22 c3 a9 22 0a"), (result.ExitCode, result.Out.Trim()));
    }

    [TestMethod]
    public async Task Tokenize_BadLineAfterGoodOnes_PrintsAllOfThose()
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllLinesAsync(file, [.. Enumerable.Repeat("\"a\"", 100), "bad"]);
            var result = await BuiltProgram.ShellAsync($"ilgpullm tokenize --jsonl '{file}'");
            Assert.AreEqual((1, string.Concat(Enumerable.Repeat("[1,261]\n", 100))), (result.ExitCode, result.Out));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [TestMethod]
    public async Task Program_UnknownCommand_ExitsWith2() => (await BuiltProgram.ShellAsync("ilgpullm nonsense")).AssertError(2, "nonsense");
}
