namespace IlgpuLlm.Bench.Precisions;

/// <summary>A precision and the checkpoint that serves it.</summary>
/// <param name="Precision">Its name.</param>
/// <param name="Options">The engine; null where there is none for it.</param>
/// <param name="Missing">Why there is none; null where there is one.</param>
internal sealed record PrecisionTarget(string Precision, EngineOptions? Options, string? Missing)
{
    /// <summary>The model's folder; null where there is none.</summary>
    public string? Folder => Options?.Model;

    /// <summary>Runs something in this precision. What goes wrong ends this precision, not the others.</summary>
    /// <param name="run">Takes the engine's options.</param>
    /// <param name="report">Told what went wrong.</param>
    /// <returns>What went wrong, or null.</returns>
    public string? Try(Action<EngineOptions> run, Action<string> report)
    {
        if (Options is null)
        {
            report($"{Precision} is left out: {Missing}");
            return Missing;
        }
        try
        {
            run(Options);
            return null;
        }
        catch (IlgpuLlmException e)
        {
            report($"{Precision} failed: {e.Message}");
            return e.Message;
        }
    }
}

/// <summary>What a model's name stands for: a checkpoint for each precision. Disposing it removes what was made for the run.</summary>
internal sealed record BenchModel : IDisposable
{
    /// <summary>The name in logs: <c>llama</c>, <c>mistral</c>, <c>demo</c>, or a folder's name.</summary>
    public required string Name { get; init; }

    /// <summary>One a precision, in the order of <see cref="Precision.All"/>.</summary>
    public required IReadOnlyList<PrecisionTarget> Targets { get; init; }

    /// <summary>Whether the system text is a turn of the user with a short answer, as the seed's benchmark has it for Mistral, which knows no system role.</summary>
    public required bool SystemIsUserTurn { get; init; }

    /// <summary>A folder that exists for this run only; null: none.</summary>
    public DummyModel? Dummy { get; init; }

    public void Dispose() => Dummy?.Dispose();
}
