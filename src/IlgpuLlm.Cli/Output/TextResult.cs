namespace IlgpuLlm.Cli.Output;

/// <summary>Several completions for a reader: each under a heading, as <c>tail</c> shows several files.</summary>
internal static class TextResult
{
    private const int HeadingLength = 60;

    /// <summary>Writes completions in the order of the prompts.</summary>
    public static void Write(IReadOnlyList<RequestOutput> outputs, TextWriter writer)
    {
        for (int i = 0; i < outputs.Count; i++)
        {
            var completions = outputs[i].Outputs;
            foreach (var completion in completions)
            {
                if (i > 0 || completion.Index > 0)
                    writer.WriteLine();
                string number = completions.Count == 1 ? $"{i + 1}" : $"{i + 1}.{completion.Index + 1}";
                writer.WriteLine($"==> {number}: {Heading(outputs[i])} <==");
                writer.WriteLine(completion.Text);
            }
        }
    }

    private static string Heading(RequestOutput output)
    {
        string text = output.Prompt ?? $"[{string.Join(',', output.PromptTokenIds.Take(HeadingLength))}]";
        bool isCut = text.Length > HeadingLength;
        // A cut through a surrogate pair would leave half a character.
        int length = isCut ? HeadingLength - (char.IsHighSurrogate(text[HeadingLength - 1]) ? 1 : 0) : text.Length;
        return string.Concat(text.AsSpan(0, length).ToString().Select(c => char.IsControl(c) ? ' ' : c)) + (isCut ? "..." : "");
    }
}
