using IlgpuLlm;

// Many prompts at once. No options: the embedded demo model; otherwise new EngineOptions { Model = "folder", Device = "cpu" }.
using (var llm = new LLM())
{
    var sampling = llm.DefaultSamplingParams with { MaxTokens = 40, Seed = 1 };
    foreach (var output in llm.Generate(["Once upon a time", "The old king said"], sampling))
        Console.WriteLine(output.Prompt + output.Outputs[0].Text);
}

// Streams from a running engine: start as many as you like, from any thread.
await using var engine = await AsyncLLM.CreateAsync();
var deltas = engine.DefaultSamplingParams with { MaxTokens = 40, OutputKind = RequestOutputKind.Delta };
await foreach (var output in engine.GenerateAsync("There was once", deltas))
    Console.Write(output.Outputs[0].Text);
