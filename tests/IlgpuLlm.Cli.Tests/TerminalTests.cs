namespace IlgpuLlm.Cli.Tests;

/// <summary>Ctrl-C as a person presses it.</summary>
[TestClass]
public sealed class TerminalTests
{
    private const string Question = "Once upon a time";

    [TestMethod]
    public async Task Chat_CtrlCInAnAnswer_StopsTheAnswerAndTheProgramGoesOn()
    {
        using var program = TerminalProgram.Start("chat", "--device", "cpu", "--max-tokens", "1000", "--ignore-eos");
        await program.WaitForAsync("> ");
        await program.TypeAsync($"{Question}\r");
        int answer = await program.WaitForAsync($"{Question}\r\n");
        await program.WaitForLengthAsync(answer + 20);
        await program.TypeAsync(TerminalProgram.CtrlC);
        int prompt = await program.WaitForAsync("(stopped)\r\n> ", answer);
        await program.TypeAsync("and then\r");
        answer = await program.WaitForAsync("and then\r\n", prompt);
        await program.WaitForLengthAsync(answer + 20);
        await program.TypeAsync(TerminalProgram.CtrlC);
        await program.WaitForAsync("(stopped)\r\n> ", answer);
        await program.TypeAsync("/exit\r");
        await program.FinishAsync(exitCode: 0);
    }

    [TestMethod]
    public async Task Chat_CtrlCAtThePrompt_SaysHowToLeaveAndTheSecondLeaves()
    {
        using var program = TerminalProgram.Start("chat", "--device", "cpu");
        await program.WaitForAsync("> ");
        await program.TypeAsync(TerminalProgram.CtrlC);
        await program.WaitForAsync("(/exit or Ctrl-C once more ends the program)\r\n> ");
        await program.TypeAsync(TerminalProgram.CtrlC);
        await program.FinishAsync(exitCode: 130);
        StringAssert.EndsWith(program.Screen, "\r\n", "the shell's prompt is on a line of its own");
    }

    [TestMethod]
    public async Task Generate_CtrlC_KeepsWhatCameAndExitsWith130()
    {
        using var program = TerminalProgram.Start("generate", Question, "--device", "cpu", "--temperature", "0", "--max-tokens", "1000", "--ignore-eos");
        string beginning = DemoGolden.First.GreedyText[..20];
        int answer = await program.WaitForAsync(beginning);
        await program.TypeAsync(TerminalProgram.CtrlC);
        await program.FinishAsync(exitCode: 130);
        StringAssert.EndsWith(program.Screen, "\r\n", "the shell's prompt is on a line of its own");
        Assert.IsTrue(program.Screen.Length - answer < 3000, "1,000 tokens have more characters");
    }
}
