using System.CommandLine;
using IlgpuLlm.Engine;
using Microsoft.Extensions.Logging.Abstractions;

namespace IlgpuLlm.Tools;

/// <summary>
/// Counts what EngineCore.Step allocates on the managed heap in steady decode, in a process where nothing else runs: a test host's timers allocate,
/// and the counter is the whole process's.
/// </summary>
internal static class StepAllocationsCommand
{
    // Long enough for every branch to have run once: the runtime makes its sort comparer at the first tie, for example.
    private const int NumSequences = 8, NumWarmUpSteps = 1500;

    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "The model's folder; without it the demo model." };
        var threads = new Option<int>("--threads") { Description = "CPU threads.", DefaultValueFactory = _ => 2 };
        var steps = new Option<int>("--steps") { Description = "Steps to count.", DefaultValueFactory = _ => 1000 };
        var command = new Command("step-allocations", "Prints the bytes that decode steps on the CPU allocate, all threads counted.") { model, threads, steps };
        command.SetAction(result =>
        {
            Console.WriteLine(Measure(result.GetValue(model), result.GetValue(threads), result.GetValue(steps)));
            return 0;
        });
        return command;
    }

    private static long Measure(string? model, int numThreads, int numSteps)
    {
        var options = new EngineOptions { Model = model, Device = "cpu", NumThreads = numThreads, MaxNumSeqs = NumSequences };
        using var engine = EngineBuilder.Build(options, NullLogger.Instance);
        for (int i = 0; i < NumSequences; i++)
            engine.Add(engine.Inputs.Process($"{i}", Prompt.FromTokens([1, 5 + i]), Sampling(i)), 0);
        for (int step = 0; step < NumWarmUpSteps; step++)
            engine.Core.Step();
        long before = GC.GetTotalAllocatedBytes(precise: true);
        for (int step = 0; step < numSteps; step++)
            engine.Core.Step();
        long allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
        if (engine.Core.Scheduler.NumRunning != NumSequences)
            throw new InvalidOperationException($"only {engine.Core.Scheduler.NumRunning} of {NumSequences} requests still decode: the model's context is too short");
        return allocated;
    }

    // Every branch of the sampler: greedy, plain, top-k, top-p, min-p, penalties, minimum length.
    private static SamplingParams Sampling(int index)
    {
        var sampling = new SamplingParams { MaxTokens = null, IgnoreEos = true, Seed = index, Temperature = index == 0 ? 0 : 1 };
        return index switch
        {
            2 => sampling with { TopK = 20 },
            3 => sampling with { TopP = 0.9f },
            4 => sampling with { MinP = 0.05f },
            5 => sampling with { RepetitionPenalty = 1.1f, PresencePenalty = 0.1f },
            6 => sampling with { TopK = 50, TopP = 0.8f },
            7 => sampling with { MinTokens = 400 },
            _ => sampling,
        };
    }
}
