using System.CommandLine;
using System.Globalization;

namespace IlgpuLlm.Tools;

/// <summary>Measures how much anonymous memory loading a checkpoint takes at its peak, against the packed weights.</summary>
internal static class LoadMemoryCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "The model's folder.", Required = true };
        var dtype = new Option<string>("--dtype") { Description = "float32 or float16.", DefaultValueFactory = _ => "auto" };
        var command = new Command("load-memory", "Prints the peak of anonymous resident memory while a checkpoint is loaded on the CPU (Linux).") { model, dtype };
        command.SetAction(result => Measure(result.GetValue(model)!, result.GetValue(dtype)!));
        return command;
    }

    private static int Measure(string model, string dtype)
    {
        long before = AnonymousBytes(), peak = before;
        using var loaded = new ManualResetEvent(false);
        var sampler = new Thread(() =>
        {
            do
                peak = Math.Max(peak, AnonymousBytes());
            while (!loaded.WaitOne(1));
        });
        sampler.Start();
        using var llm = new LLM(new EngineOptions { Model = model, Device = "cpu", DType = dtype });
        loaded.Set();
        sampler.Join();
        double packed = llm.Info.Memory.WeightBytes;
        Console.WriteLine(FormattableString.Invariant(
            $"packed weights {packed / 1e6:F1} MB, peak of anonymous memory {peak / 1e6:F1} MB (before loading {before / 1e6:F1}), ratio {peak / packed:F3}, {llm.Info.LoadSeconds:F1} s"));
        return 0;
    }

    private static long AnonymousBytes()
    {
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssAnon:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan(8, line.Length - 8 - 3).Trim(), CultureInfo.InvariantCulture) * 1024;
    }
}
