using System.Runtime.InteropServices;
using ILGPU.Runtime.Cuda;

namespace IlgpuLlm.Kernels.Interop;

/// <summary>The calls of the CUDA driver that ILGPU does not bind: graphs, function attributes.</summary>
internal static partial class CudaDriver
{
    private const string Library = "cuda"; // CudaLibrary finds it
    private const int EventWithoutTime = 2; // CU_EVENT_DISABLE_TIMING
    private const int CaptureRelaxed = 2; // other threads may allocate meanwhile
    private const int MaxDynamicSharedSizeBytes = 8; // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES

    /// <summary>From here on, what is queued to the stream is recorded and not run.</summary>
    public static void BeginCapture(nint stream) => Check(cuStreamBeginCapture_v2(stream, CaptureRelaxed));

    /// <summary>Ends the recording and makes it ready to run.</summary>
    public static nint EndCapture(nint stream)
    {
        Check(cuStreamEndCapture(stream, out nint graph));
        try
        {
            Check(cuGraphInstantiateWithFlags(out nint executable, graph, 0));
            return executable;
        }
        finally
        {
            Check(cuGraphDestroy(graph));
        }
    }

    /// <summary>Queues a recorded graph.</summary>
    public static void LaunchGraph(nint executable, nint stream) => Check(cuGraphLaunch(executable, stream));

    /// <summary>Frees a recorded graph.</summary>
    public static void DestroyGraph(nint executable) => Check(cuGraphExecDestroy(executable));

    /// <summary>Lets a function take more dynamic shared memory than the 48 KiB that are always allowed.</summary>
    public static void AllowDynamicSharedMemory(nint function, int bytes) => Check(cuFuncSetAttribute(function, MaxDynamicSharedSizeBytes, bytes));

    /// <summary>Makes an event.</summary>
    public static nint CreateEvent()
    {
        Check(cuEventCreate(out nint handle, EventWithoutTime));
        return handle;
    }

    /// <summary>The event has happened once everything has ended that is queued to the stream by now.</summary>
    public static void RecordEvent(nint handle, nint stream) => Check(cuEventRecord(handle, stream));

    /// <summary>Waits until the event, as it was last recorded, has happened; not at all if it never was.</summary>
    public static void WaitForEvent(nint handle) => Check(cuEventSynchronize(handle));

    /// <summary>What is queued to the stream from now on waits for the event.</summary>
    public static void StreamWaitsForEvent(nint stream, nint handle) => Check(cuStreamWaitEvent(stream, handle, 0));

    /// <summary>Frees an event.</summary>
    public static void DestroyEvent(nint handle) => Check(cuEventDestroy_v2(handle));

    private static void Check(int result) => CudaException.ThrowIfFailed((CudaError)result);

    [LibraryImport(Library)]
    private static partial int cuEventCreate(out nint handle, int flags);

    [LibraryImport(Library)]
    private static partial int cuEventRecord(nint handle, nint stream);

    [LibraryImport(Library)]
    private static partial int cuEventSynchronize(nint handle);

    [LibraryImport(Library)]
    private static partial int cuStreamWaitEvent(nint stream, nint handle, int flags);

    [LibraryImport(Library)]
    private static partial int cuEventDestroy_v2(nint handle);

    [LibraryImport(Library)]
    private static partial int cuFuncSetAttribute(nint function, int attribute, int value);

    [LibraryImport(Library)]
    private static partial int cuStreamBeginCapture_v2(nint stream, int mode);

    [LibraryImport(Library)]
    private static partial int cuStreamEndCapture(nint stream, out nint graph);

    [LibraryImport(Library)]
    private static partial int cuGraphInstantiateWithFlags(out nint executable, nint graph, ulong flags);

    [LibraryImport(Library)]
    private static partial int cuGraphLaunch(nint executable, nint stream);

    [LibraryImport(Library)]
    private static partial int cuGraphDestroy(nint graph);

    [LibraryImport(Library)]
    private static partial int cuGraphExecDestroy(nint executable);
}
