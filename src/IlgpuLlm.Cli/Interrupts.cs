namespace IlgpuLlm.Cli;

/// <summary>Ctrl-C: a command may take it for something smaller than the end of the program. Thread-safe.</summary>
internal sealed class Interrupts
{
    private volatile Func<bool>? _handler;

    /// <summary>Takes Ctrl-C from now on.</summary>
    /// <param name="handler">Runs on another thread; whether the program goes on.</param>
    /// <returns>What gives Ctrl-C back when it is disposed.</returns>
    public IDisposable Handle(Func<bool> handler)
    {
        _handler = handler;
        return new Registration(this);
    }

    /// <summary>Ctrl-C was pressed.</summary>
    /// <returns>Whether a command took it, and the program goes on as if nothing had been.</returns>
    public bool Raise() => _handler?.Invoke() ?? false;

    private sealed class Registration(Interrupts interrupts) : IDisposable
    {
        public void Dispose() => interrupts._handler = null;
    }
}
