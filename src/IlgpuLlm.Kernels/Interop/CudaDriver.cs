using System.Runtime.InteropServices;
using ILGPU.Runtime.Cuda;

namespace IlgpuLlm.Kernels.Interop;

/// <summary>The calls of the CUDA driver that ILGPU does not bind: graphs, function attributes, tensor maps.</summary>
internal static partial class CudaDriver
{
    private const string Library = "cuda"; // CudaLibrary finds it
    private const int HostMemory = 1, DeviceMemory = 2; // CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE
    private const int EventWithoutTime = 2; // CU_EVENT_DISABLE_TIMING
    private const int NotReady = 600; // CUDA_ERROR_NOT_READY
    private const int CaptureRelaxed = 2; // other threads may allocate meanwhile
    private const int KernelNode = 0; // CU_GRAPH_NODE_TYPE_KERNEL
    private const byte ProgrammaticPort = 1; // CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC
    private const byte ProgrammaticDependency = 1; // CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC
    private const int MaxDynamicSharedSizeBytes = 8; // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    private const int TensorMapFloat16 = 6; // CU_TENSOR_MAP_DATA_TYPE_FLOAT16
    private const int TensorMapFloat32 = 7; // CU_TENSOR_MAP_DATA_TYPE_FLOAT32
    private const int TensorMapSwizzle64 = 2, TensorMapSwizzle128 = 3; // CU_TENSOR_MAP_SWIZZLE_64B, CU_TENSOR_MAP_SWIZZLE_128B
    private const int TensorMapPromotion256 = 3; // CU_TENSOR_MAP_L2_PROMOTION_L2_256B

    /// <summary>The bytes of a tensor map; where it lies, it is aligned to 64.</summary>
    public const int TensorMapBytes = 128;

    /// <summary>From here on, what is queued to the stream is recorded and not run.</summary>
    public static void BeginCapture(nint stream) => Check(cuStreamBeginCapture_v2(stream, CaptureRelaxed));

    /// <summary>Ends the recording and makes it ready to run.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="launchKernelsEarly">Whether a kernel may be launched before the kernel in front of it has ended: programmatic dependent launch.</param>
    public static nint EndCapture(nint stream, bool launchKernelsEarly)
    {
        Check(cuStreamEndCapture(stream, out nint graph));
        try
        {
            if (launchKernelsEarly)
                MakeEdgesProgrammatic(graph);
            Check(cuGraphInstantiateWithFlags(out nint executable, graph, 0));
            return executable;
        }
        finally
        {
            Check(cuGraphDestroy(graph));
        }
    }

    private static void MakeEdgesProgrammatic(nint graph)
    {
        nint count = 0;
        try
        {
            Check(cuGraphGetEdges_v2(graph, null, null, null, ref count));
        }
        catch (EntryPointNotFoundException)
        {
            return; // a driver before CUDA 12.3
        }
        if (count == 0)
            return;
        var (from, to, edges) = (new nint[count], new nint[count], new EdgeData[count]);
        Check(cuGraphGetEdges_v2(graph, from, to, edges, ref count));
        int numKernels = 0;
        for (int i = 0; i < count; i++)
        {
            if (IsKernel(from[i]) && IsKernel(to[i]))
                (from[numKernels], to[numKernels], edges[numKernels++]) = (from[i], to[i], edges[i]);
        }
        if (numKernels == 0)
            return;
        Check(cuGraphRemoveDependencies_v2(graph, from, to, edges, numKernels));
        Array.Fill(edges, new EdgeData { FromPort = ProgrammaticPort, Type = ProgrammaticDependency });
        Check(cuGraphAddDependencies_v2(graph, from, to, edges, numKernels));
    }

    private static bool IsKernel(nint node)
    {
        Check(cuGraphNodeGetType(node, out int type));
        return type == KernelNode;
    }

    /// <summary>Queues a recorded graph.</summary>
    public static void LaunchGraph(nint executable, nint stream) => Check(cuGraphLaunch(executable, stream));

    /// <summary>Frees a recorded graph.</summary>
    public static void DestroyGraph(nint executable) => Check(cuGraphExecDestroy(executable));

    /// <summary>Lets a function take more dynamic shared memory than the 48 KiB that are always allowed.</summary>
    public static void AllowDynamicSharedMemory(nint function, int bytes) => Check(cuFuncSetAttribute(function, MaxDynamicSharedSizeBytes, bytes));

    /// <summary>Queues a copy of runs of bytes, one behind the other in host memory, to places a stride apart in device memory.</summary>
    public static void CopyRunsToDevice(nint source, nint destination, int runLength, int numRuns, int stride, nint stream)
    {
        var copy = new Copy2D
        {
            SourceType = HostMemory,
            SourceHost = source,
            SourcePitch = runLength,
            DestinationType = DeviceMemory,
            DestinationDevice = destination,
            DestinationPitch = stride,
            Width = runLength,
            Height = numRuns,
        };
        Check(cuMemcpy2DAsync_v2(in copy, stream));
    }

    /// <summary>Makes an event, which knows the time only if asked to.</summary>
    public static nint CreateEvent(bool withTime = false)
    {
        Check(cuEventCreate(out nint handle, withTime ? 0 : EventWithoutTime));
        return handle;
    }

    /// <summary>The event has happened once everything has ended that is queued to the stream by now.</summary>
    public static void RecordEvent(nint handle, nint stream) => Check(cuEventRecord(handle, stream));

    /// <summary>Waits until the event, as it was last recorded, has happened; not at all if it never was.</summary>
    public static void WaitForEvent(nint handle) => Check(cuEventSynchronize(handle));

    /// <summary>Whether the event, as it was last recorded, has happened.</summary>
    public static bool HasHappened(nint handle)
    {
        int result = cuEventQuery(handle);
        if (result != NotReady)
            Check(result);
        return result != NotReady;
    }

    /// <summary>The milliseconds between two events with time that have happened.</summary>
    public static double ElapsedMilliseconds(nint first, nint second)
    {
        Check(cuEventElapsedTime(out float milliseconds, first, second));
        return milliseconds;
    }

    /// <summary>What is queued to the stream from now on waits for the event.</summary>
    public static void StreamWaitsForEvent(nint stream, nint handle) => Check(cuStreamWaitEvent(stream, handle, 0));

    /// <summary>Frees an event.</summary>
    public static void DestroyEvent(nint handle) => Check(cuEventDestroy_v2(handle));

    /// <summary>
    /// Describes a row-major matrix of halves or floats to the tensor memory accelerator, which copies boxes of it to and from shared memory: swizzled by
    /// the 64 or 128 bytes of a box's row, with zeros in place of what lies outside.
    /// </summary>
    /// <param name="map">Gets <see cref="TensorMapBytes"/> bytes.</param>
    /// <param name="address">Of the first element, on the device; a multiple of 16.</param>
    /// <param name="isFloat">Whether elements are floats, otherwise halves.</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="columns">Columns, a multiple of 8.</param>
    /// <param name="boxRows">Rows of a box, up to 256.</param>
    /// <param name="boxColumns">Columns of a box: 64 or 128 bytes.</param>
    public static unsafe void EncodeTensorMap(Span<byte> map, nint address, bool isFloat, int rows, int columns, int boxRows, int boxColumns)
    {
        int elementBytes = isFloat ? sizeof(float) : 2, swizzle = boxColumns * elementBytes == 128 ? TensorMapSwizzle128 : TensorMapSwizzle64;
        byte* memory = stackalloc byte[2 * TensorMapBytes];
        byte* aligned = (byte*)(((nint)memory + 63) & ~63);
        ulong* sizes = stackalloc ulong[] { (ulong)columns, (ulong)rows };
        ulong* strides = stackalloc ulong[] { (ulong)columns * (ulong)elementBytes };
        uint* box = stackalloc uint[] { (uint)boxColumns, (uint)boxRows };
        uint* steps = stackalloc uint[] { 1, 1 };
        Check(cuTensorMapEncodeTiled(
            aligned, isFloat ? TensorMapFloat32 : TensorMapFloat16, rank: 2, address, sizes, strides, box, steps, interleave: 0, swizzle, TensorMapPromotion256,
            outside: 0));
        new ReadOnlySpan<byte>(aligned, TensorMapBytes).CopyTo(map);
    }

    private static void Check(int result) => CudaException.ThrowIfFailed((CudaError)result);

    [LibraryImport(Library)]
    private static partial int cuMemcpy2DAsync_v2(in Copy2D copy, nint stream);

    [LibraryImport(Library)]
    private static partial int cuEventCreate(out nint handle, int flags);

    [LibraryImport(Library)]
    private static partial int cuEventRecord(nint handle, nint stream);

    [LibraryImport(Library)]
    private static partial int cuEventSynchronize(nint handle);

    [LibraryImport(Library)]
    private static partial int cuEventQuery(nint handle);

    [LibraryImport(Library)]
    private static partial int cuEventElapsedTime(out float milliseconds, nint first, nint second);

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

    [LibraryImport(Library)]
    private static partial int cuGraphNodeGetType(nint node, out int type);

    [LibraryImport(Library)]
    private static partial int cuGraphGetEdges_v2(nint graph, [Out] nint[]? from, [Out] nint[]? to, [Out] EdgeData[]? edges, ref nint count);

    [LibraryImport(Library)]
    private static partial int cuGraphRemoveDependencies_v2(nint graph, [In] nint[] from, [In] nint[] to, [In] EdgeData[] edges, nint count);

    [LibraryImport(Library)]
    private static partial int cuGraphAddDependencies_v2(nint graph, [In] nint[] from, [In] nint[] to, [In] EdgeData[] edges, nint count);

    [LibraryImport(Library)]
    private static unsafe partial int cuTensorMapEncodeTiled(
        byte* map, int type, uint rank, nint address, ulong* sizes, ulong* strides, uint* box, uint* steps, int interleave, int swizzle, int promotion, int outside);

    /// <summary>CUDA_MEMCPY2D.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Copy2D
    {
        public nint SourceX, SourceY;
        public int SourceType;
        public nint SourceHost, SourceDevice, SourceArray, SourcePitch;
        public nint DestinationX, DestinationY;
        public int DestinationType;
        public nint DestinationHost, DestinationDevice, DestinationArray, DestinationPitch;
        public nint Width, Height;
    }

    /// <summary>CUgraphEdgeData.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 8)]
    private struct EdgeData
    {
        public byte FromPort, ToPort, Type;
    }
}
