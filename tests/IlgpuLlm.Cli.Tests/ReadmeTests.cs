using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Cli.Tests;

[TestClass]
public sealed class ReadmeTests
{
    [TestMethod]
    public void Readme_Program_IsTheOneThatIsBuilt()
    {
        string readme = File.ReadAllText(Path.Combine(TestData.Root, "README.md"));
        string program = File.ReadAllText(Path.Combine(TestData.Root, "tests", "samples", "ReadmeProgram", "Program.cs"));
        StringAssert.Contains(readme, $"```csharp\n{program}```");
    }

    [TestMethod]
    public async Task Readme_Program_Runs()
    {
        var result = await BuiltProgram.FinishAsync(BuiltProgram.Start("ReadmeProgram.dll"));
        StringAssert.StartsWith(result.Text, "Once upon a time ");
        StringAssert.Contains(result.Out, "\nThe old king said");
    }

    [TestMethod]
    [DataRow("generate")]
    [DataRow("chat")]
    [DataRow("tokenize")]
    [DataRow("info")]
    [DataRow("quantize")]
    [DataRow("perplexity")]
    [DataRow("bench latency")]
    [DataRow("bench throughput")]
    [DataRow("bench kernels")]
    [DataRow("bench serve")]
    [DataRow("bench precisions")]
    [DataRow("quality")]
    public async Task Readme_Options_AreThoseOfTheProgram(string command)
    {
        string readme = await File.ReadAllTextAsync(Path.Combine(TestData.Root, "README.md"));
        string help = (await CommandLine.RunAsync([.. command.Split(' '), "--help"])).Text;
        foreach (string line in help.Split('\n').Where(line => line.StartsWith("  -", StringComparison.Ordinal)))
        {
            // "-n, --model-name <MODEL>": names end where the value or the description begins.
            foreach (string name in line.Trim().Split(['<', ' '], StringSplitOptions.RemoveEmptyEntries).TakeWhile(word => word[0] == '-').Select(word => word.TrimEnd(',')))
            {
                if (name is not ("-h" or "--help"))
                    StringAssert.Contains(readme, $"`{name}");
            }
        }
    }
}
