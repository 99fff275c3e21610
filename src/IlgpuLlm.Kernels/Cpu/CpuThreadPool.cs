using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace IlgpuLlm.Kernels.Cpu;

/// <summary>
/// Threads that run one job at a time together with the thread that asks for it. Between jobs they spin for a moment, since the next operation of
/// a model is usually microseconds away, and then park, since the machine is not theirs alone. Runs allocate nothing.
/// </summary>
internal sealed class CpuThreadPool : IDisposable
{
    // Longer than the gaps within a step (an operation too small to split), shorter than a scheduler's time slice.
    private const int SpinMicroseconds = 30;

    private readonly Lock _oneRunAtATime = new();
    private readonly Worker[] _workers;
    private readonly Parking _caller = new();
    private ParallelJob? _job;
    private ExceptionDispatchInfo? _failure;
    private int _epoch;
    private int _pending;

    /// <summary>Starts numThreads - 1 threads; none for 1.</summary>
    public CpuThreadPool(int numThreads)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(numThreads);
        NumThreads = numThreads;
        _workers = new Worker[numThreads - 1];
        for (int i = 0; i < _workers.Length; i++)
            _workers[i] = new Worker(this, i + 1);
    }

    /// <summary>The threads that take part in a job, the caller's included.</summary>
    public int NumThreads { get; }

    /// <summary>Runs all parts and waits for them. An exception of any part is thrown here, after all have ended.</summary>
    public void Run(ParallelJob job)
    {
        if (NumThreads == 1)
        {
            job.Execute(0, 1);
            return;
        }
        lock (_oneRunAtATime)
        {
            Start(job);
            RunPart(job, 0);
            _caller.WaitUntilZero(ref _pending);
            _job = null;
            if (_failure is { } failure)
            {
                _failure = null;
                failure.Throw();
            }
        }
    }

    /// <summary>Ends the threads and waits for them.</summary>
    public void Dispose()
    {
        lock (_oneRunAtATime)
        {
            if (_workers.Length == 0 || _epoch < 0)
                return;
            Volatile.Write(ref _epoch, -1);
            Interlocked.MemoryBarrier();
            foreach (Worker worker in _workers)
                worker.WakeAndJoin();
            _caller.Dispose();
        }
    }

    private void Start(ParallelJob job)
    {
        ObjectDisposedException.ThrowIf(_epoch < 0, this);
        _job = job;
        Volatile.Write(ref _pending, _workers.Length);
        // The barrier orders the new epoch before the look at who is parked; see Parking.
        Interlocked.Exchange(ref _epoch, (_epoch + 1) & int.MaxValue);
        foreach (Worker worker in _workers)
            worker.Wake();
    }

    private void RunPart(ParallelJob job, int part)
    {
        try
        {
            job.Execute(part, NumThreads);
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(e), null);
        }
    }

    private void EndPart()
    {
        if (Interlocked.Decrement(ref _pending) == 0)
            _caller.Wake();
    }

    /// <summary>
    /// Where one thread waits for a change that another makes. The waiter announces that it parks and looks once more; the waker makes the change
    /// and then looks for the announcement. Both are ordered by full barriers, so one of the two sees the other.
    /// </summary>
    private sealed class Parking : IDisposable
    {
        private readonly AutoResetEvent _event = new(false);
        private int _isParked;

        public void WaitUntilZero(ref int value)
        {
            long start = Stopwatch.GetTimestamp();
            while (Volatile.Read(ref value) != 0)
                if (!SpinOnce(start))
                {
                    Interlocked.Exchange(ref _isParked, 1);
                    Park(Volatile.Read(ref value) == 0);
                }
        }

        public int WaitWhile(ref int value, int old)
        {
            long start = Stopwatch.GetTimestamp();
            while (Volatile.Read(ref value) == old)
                if (!SpinOnce(start))
                {
                    Interlocked.Exchange(ref _isParked, 1);
                    Park(Volatile.Read(ref value) != old);
                }
            return Volatile.Read(ref value);
        }

        public void Wake()
        {
            if (Volatile.Read(ref _isParked) != 0 && Interlocked.Exchange(ref _isParked, 0) != 0)
                _event.Set();
        }

        public void Dispose() => _event.Dispose();

        private static bool SpinOnce(long start)
        {
            if (Stopwatch.GetElapsedTime(start).TotalMicroseconds > SpinMicroseconds)
                return false;
            Thread.SpinWait(4);
            return true;
        }

        private void Park(bool alreadyChanged)
        {
            // Whoever takes the announcement back decides: if the waker did, its signal is on the way and must be consumed.
            if (alreadyChanged && Interlocked.Exchange(ref _isParked, 0) != 0)
                return;
            _event.WaitOne();
        }
    }

    private sealed class Worker
    {
        private readonly CpuThreadPool _pool;
        private readonly int _part;
        private readonly Parking _parking = new();
        private readonly Thread _thread;

        public Worker(CpuThreadPool pool, int part)
        {
            _pool = pool;
            _part = part;
            _thread = new Thread(Loop) { IsBackground = true, Name = $"cpu backend {part}" };
            _thread.Start();
        }

        public void Wake() => _parking.Wake();

        public void WakeAndJoin()
        {
            _parking.Wake();
            _thread.Join();
            _parking.Dispose();
        }

        private void Loop()
        {
            int epoch = 0;
            while ((epoch = _parking.WaitWhile(ref _pool._epoch, epoch)) >= 0)
            {
                _pool.RunPart(_pool._job!, _part);
                _pool.EndPart();
            }
        }
    }
}
