using System.Diagnostics;
using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Two events a run. Where the device has ended the run before by the time that the host launches the next one, the event in front of it happens at once and
/// the launch itself is still to come: its duration on the host counts as idle then.
/// </summary>
internal sealed class CudaStepTimer(CudaGpuDevice device) : DeviceStepTimer
{
    private readonly List<Run> _runs = [];
    private readonly Stack<nint> _free = [];
    private bool _isInterrupted = true;
    private long _launched;

    private nint Stream => ((CudaStream)device.Stream).StreamPtr;

    /// <inheritdoc/>
    public override void Begin(int numSeqs)
    {
        var run = new Run(numSeqs, !_isInterrupted, NewEvent(), NewEvent()) { IsLate = !_isInterrupted && CudaDriver.HasHappened(_runs[^1].End) };
        _isInterrupted = false;
        CudaDriver.RecordEvent(run.Begin, Stream);
        _runs.Add(run);
        _launched = Stopwatch.GetTimestamp();
    }

    /// <inheritdoc/>
    public override void End()
    {
        _runs[^1].LaunchMs = Stopwatch.GetElapsedTime(_launched).TotalMilliseconds;
        CudaDriver.RecordEvent(_runs[^1].End, Stream);
    }

    /// <inheritdoc/>
    public override void Interrupt() => _isInterrupted = true;

    /// <inheritdoc/>
    public override IReadOnlyList<StepTime> Take()
    {
        _ = Stream; // binds the thread
        List<StepTime> times = [];
        for (int i = 0; i < _runs.Count; i++)
        {
            Run run = _runs[i];
            CudaDriver.WaitForEvent(run.End);
            if (!run.FollowsAnother)
                continue;
            double step = CudaDriver.ElapsedMilliseconds(_runs[i - 1].End, run.End), idle = CudaDriver.ElapsedMilliseconds(_runs[i - 1].End, run.Begin);
            times.Add(new StepTime(run.NumSeqs, step, Math.Min(step, idle + (run.IsLate ? run.LaunchMs : 0))));
        }
        foreach (Run run in _runs)
        {
            _free.Push(run.Begin);
            _free.Push(run.End);
        }
        _runs.Clear();
        _isInterrupted = true;
        return times;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Take();
        while (_free.TryPop(out nint handle))
            CudaDriver.DestroyEvent(handle);
    }

    private nint NewEvent()
    {
        _ = Stream;
        return _free.TryPop(out nint handle) ? handle : CudaDriver.CreateEvent(withTime: true);
    }

    private sealed record Run(int NumSeqs, bool FollowsAnother, nint Begin, nint End)
    {
        /// <summary>Whether the device waited for it.</summary>
        public bool IsLate { get; init; }

        /// <summary>The host's time to launch it.</summary>
        public double LaunchMs { get; set; }
    }
}
