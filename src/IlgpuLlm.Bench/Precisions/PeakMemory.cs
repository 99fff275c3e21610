using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Bench.Precisions;

/// <summary>
/// The most memory in use while it exists: of a GPU that of the whole card, as nvidia-smi shows it and the seed's benchmark reports; of a CPU how much the process
/// has grown, looked at every 20 ms.
/// </summary>
internal sealed class PeakMemory : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);

    private readonly Lock _lock = new();
    private readonly long _before;
    private Timer? _timer;
    private LLM? _llm;
    private long _peak;

    /// <summary>Begins to watch the process. What an engine before left to be collected does not count.</summary>
    public PeakMemory()
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        LinuxMemory.ReturnFreed();
        _before = Environment.WorkingSet;
        _timer = new Timer(_ => SampleProcess(), null, TimeSpan.Zero, Interval);
    }

    /// <summary>The peak until now, in bytes.</summary>
    public long Bytes
    {
        get
        {
            Sample();
            lock (_lock)
                return _peak;
        }
    }

    /// <summary>Follows an engine: where it runs on a GPU, the card's memory counts and not the process's.</summary>
    public void Follow(LLM llm)
    {
        if (!llm.Info.Device.StartsWith("cuda", StringComparison.Ordinal))
            return;
        _timer?.Dispose();
        _timer = null;
        lock (_lock)
            (_llm, _peak) = (llm, 0); // a look at the process that is under way still counts no more
        Sample();
    }

    /// <summary>Looks now. The engine takes its memory before the first step, so that looking between requests misses nothing.</summary>
    public void Sample()
    {
        if (_llm is null)
        {
            SampleProcess();
            return;
        }
        var memory = _llm.Core.ModelRunner.QueryMemory();
        lock (_lock)
            _peak = Math.Max(_peak, memory.TotalBytes - memory.FreeBytes);
    }

    public void Dispose() => _timer?.Dispose();

    private void SampleProcess()
    {
        long bytes = Environment.WorkingSet - _before;
        lock (_lock)
            _peak = _llm is null ? Math.Max(_peak, bytes) : _peak;
    }
}
