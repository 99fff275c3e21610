namespace IlgpuLlm.Cli;

/// <summary>Ctrl-C: a command may take it for something smaller than the end of the program. Thread-safe.</summary>
internal sealed class Interrupts
{
    // Held while a handler runs: what it uses may go as soon as Ctrl-C has been given back.
    private readonly Lock _lock = new();
    private Func<bool>? _handler;

    /// <summary>Takes Ctrl-C from now on.</summary>
    /// <param name="handler">Runs on another thread; whether the program goes on.</param>
    /// <returns>What gives Ctrl-C back when it is disposed.</returns>
    public IDisposable Handle(Func<bool> handler)
    {
        Set(handler);
        return new Registration(this);
    }

    /// <summary>Ctrl-C was pressed.</summary>
    /// <returns>Whether a command took it, and the program goes on as if nothing had been.</returns>
    public bool Raise()
    {
        lock (_lock)
            return _handler?.Invoke() ?? false;
    }

    private void Set(Func<bool>? handler)
    {
        lock (_lock)
            _handler = handler;
    }

    private sealed class Registration(Interrupts interrupts) : IDisposable
    {
        public void Dispose() => interrupts.Set(null);
    }
}
