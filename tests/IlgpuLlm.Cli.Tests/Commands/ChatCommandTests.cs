using System.Text;

namespace IlgpuLlm.Cli.Tests.Commands;

[TestClass]
public sealed class ChatCommandTests
{
    private static readonly string[] Greedy = ["--device", "cpu", "--temperature", "0", "--ignore-eos", "--max-tokens", "6"];

    [TestMethod]
    public async Task Chat_QuickWithoutTemplate_ContinuesTheText()
    {
        var golden = DemoGolden.First;
        var result = await CommandLine.RunAsync(["chat", "--quick", golden.Text, .. DemoGolden.Options]);
        Assert.AreEqual(golden.GreedyText, result.Text.Trim());
    }

    [TestMethod]
    public async Task Chat_QuickWithTemplate_AnswersTheRenderedPrompt()
    {
        using var template = new TempFile("{{ bos_token }}{% for m in messages %}{{ m.content }}, {% endfor %}");
        var result = await CommandLine.RunAsync(["chat", "--quick", "the king said", "--system", "Once upon a time", "--chat-template", template.Path, .. Greedy]);
        var expected = await CommandLine.RunAsync(["generate", "Once upon a time, the king said, ", .. Greedy]);
        Assert.AreEqual(expected.Text.Trim(), result.Text.Trim());
    }

    [TestMethod]
    public async Task Chat_SecondMessage_SeesTheHistory()
    {
        using var template = new TempFile("{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}");
        var result = await CommandLine.RunWithInputAsync("Once\nand then\n", ["chat", "--chat-template", template.Path, .. Greedy]);
        string first = await GenerateAsync("[user]Once"), second = await GenerateAsync($"[user]Once[assistant]{first}[user]and then");
        Assert.AreEqual($"{first.TrimStart()}\n{second.TrimStart()}\n", result.Text);
    }

    [TestMethod]
    public async Task Chat_Commands_ChangeTheConversation()
    {
        using var template = new TempFile("{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}");
        var result = await CommandLine.RunWithInputAsync("/stats\nOnce\n/reset\nOnce\n/system Be kind\n\n//Once\n/stats\n/nonsense\n/help\n/exit\nnever read\n",
            ["chat", "--chat-template", template.Path, .. Greedy]);
        string first = await GenerateAsync("[user]Once"), last = await GenerateAsync("[system]Be kind[user]/Once");
        Assert.AreEqual($"{first.TrimStart()}\n{first.TrimStart()}\n{last.TrimStart()}\n", result.Out);
        Assert.AreEqual(0, result.ExitCode);
        string[] parts = ["no answer yet\n", "new conversation\n", "new conversation with this system message\n", "\nprefill ", "unknown command /nonsense", "/exit "];
        foreach (string part in parts)
            StringAssert.Contains(result.Error, part);
    }

    [TestMethod]
    public async Task Chat_WithoutTemplate_TextGoesOnLineByLine()
    {
        var result = await CommandLine.RunWithInputAsync("Once upon a time\nThe king\n", ["chat", "--system", "Tales.", .. Greedy]);
        Assert.AreEqual("the model has no chat template: it continues what you write\n", result.Error);
        string first = await GenerateAsync("Tales.\nOnce upon a time"), second = await GenerateAsync($"Tales.\nOnce upon a time{first}\nThe king");
        Assert.AreEqual($"{first}\n{second}\n", result.Out);
    }

    [TestMethod]
    public async Task Chat_TemplateThatRefuses_IsAnErrorAndTheConversationGoesOn()
    {
        using var template = new TempFile("{% if messages[0].content == 'no' %}\n{{ raise_exception('not that') }}{% endif %}{{ bos_token }}{{ messages[0].content }}");
        string[] options = ["--chat-template", template.Path, .. Greedy];
        var result = await CommandLine.RunWithInputAsync("no\nOnce\n", ["chat", .. options]);
        Assert.AreEqual((1, $"error: {template.Path}: line 2: not that\n"), (result.ExitCode, result.Error));
        Assert.AreEqual((await GenerateAsync("Once")).TrimStart() + "\n", result.Out);
        (await CommandLine.RunAsync(["chat", "--quick", "no", .. options])).AssertError(1, "line 2: not that");
    }

    [TestMethod]
    public async Task Chat_PromptTooLong_TellsTheLimit()
    {
        var result = await CommandLine.RunWithInputAsync("a b c d e f g h i j k l m n o p q r s t u v w x y z\n", ["chat", "--max-model-len", "16", .. Greedy]);
        Assert.AreEqual(1, result.ExitCode);
        StringAssert.Contains(result.Error, "error: prompt: has ");
    }

    [TestMethod]
    public async Task Chat_Interrupted_StopsTheAnswerAndNotTheProgram()
    {
        var interrupts = new Interrupts();
        var output = new InterruptingWriter(interrupts);
        var error = new StringWriter();
        var console = new CliConsole { In = new StringReader("Once\n/exit\n"), Out = output, Error = error, Interrupts = interrupts };
        int exitCode = await CommandLineApp.RunAsync(["chat", "--device", "cpu", "--temperature", "0", "--ignore-eos", "--max-tokens", "900"], console);
        Assert.AreEqual(0, exitCode);
        StringAssert.EndsWith(error.ToString(), "(stopped)\n");
        Assert.IsTrue(output.WasTaken, "the command takes Ctrl-C while it answers");
        Assert.IsFalse(interrupts.Raise(), "and gives it back");
    }

    [TestMethod]
    [DataRow(2, "--n: 2 must be 1", new[] { "chat", "--n", "2" })]
    [DataRow(2, "--temperature: 'x'", new[] { "chat", "--temperature", "x" })]
    [DataRow(1, "/no/such/file", new[] { "chat", "--chat-template", "/no/such/file" })]
    [DataRow(1, "/no/such/folder", new[] { "chat", "--model", "/no/such/folder" })]
    public async Task Chat_BadUsage_IsOneLine(int exitCode, string part, string[] args) => (await CommandLine.RunAsync(args)).AssertError(exitCode, part);

    [TestMethod]
    public async Task Chat_BrokenTemplate_IsTheFilesLine()
    {
        using var template = new TempFile("a\n{% if %}");
        (await CommandLine.RunAsync("chat", "--chat-template", template.Path)).AssertError(1, $"{template.Path}: line 2: ");
    }

    private static async Task<string> GenerateAsync(string prompt)
    {
        string text = (await CommandLine.RunAsync(["generate", prompt, .. Greedy])).Text;
        return text[..^1];
    }

    private sealed class TempFile : IDisposable
    {
        public TempFile(string text) => File.WriteAllText(Path, text);

        public string Path { get; } = System.IO.Path.GetTempFileName();

        public void Dispose() => File.Delete(Path);
    }

    // Presses Ctrl-C at the first word.
    private sealed class InterruptingWriter(Interrupts interrupts) : StringWriter
    {
        private bool _isPressed;

        public bool WasTaken { get; private set; }

        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(string? value)
        {
            base.Write(value);
            if (_isPressed || string.IsNullOrEmpty(value))
                return;
            _isPressed = true;
            WasTaken = interrupts.Raise();
        }
    }
}
