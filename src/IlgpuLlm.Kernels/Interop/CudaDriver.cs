using System.Runtime.InteropServices;
using ILGPU.Runtime.Cuda;

namespace IlgpuLlm.Kernels.Interop;

/// <summary>The calls of the CUDA driver that ILGPU does not bind: graphs, function attributes, tensor maps.</summary>
internal static partial class CudaDriver
{
    private const string Library = "cuda"; // CudaLibrary finds it
    private const int CaptureRelaxed = 2; // other threads may allocate meanwhile
    private const int MaxDynamicSharedSizeBytes = 8; // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    private const int TensorMapFloat16 = 6; // CU_TENSOR_MAP_DATA_TYPE_FLOAT16
    private const int TensorMapSwizzle128 = 3; // CU_TENSOR_MAP_SWIZZLE_128B
    private const int TensorMapPromotion256 = 3; // CU_TENSOR_MAP_L2_PROMOTION_L2_256B

    /// <summary>The bytes of a tensor map; where it lies, it is aligned to 64.</summary>
    public const int TensorMapBytes = 128;

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

    /// <summary>
    /// Describes a row-major matrix of halves to the tensor memory accelerator, which copies boxes of it to shared memory: swizzled by 128 bytes, with zeros
    /// in place of what lies outside.
    /// </summary>
    /// <param name="map">Gets <see cref="TensorMapBytes"/> bytes.</param>
    /// <param name="address">Of the first element, on the device; a multiple of 16.</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="columns">Columns, a multiple of 8.</param>
    /// <param name="boxRows">Rows of a box, up to 256.</param>
    /// <param name="boxColumns">Columns of a box, up to 64.</param>
    public static unsafe void EncodeTensorMap(Span<byte> map, nint address, int rows, int columns, int boxRows, int boxColumns)
    {
        byte* memory = stackalloc byte[2 * TensorMapBytes];
        byte* aligned = (byte*)(((nint)memory + 63) & ~63);
        ulong* sizes = stackalloc ulong[] { (ulong)columns, (ulong)rows };
        ulong* strides = stackalloc ulong[] { (ulong)columns * 2 };
        uint* box = stackalloc uint[] { (uint)boxColumns, (uint)boxRows };
        uint* steps = stackalloc uint[] { 1, 1 };
        Check(cuTensorMapEncodeTiled(
            aligned, TensorMapFloat16, rank: 2, address, sizes, strides, box, steps, interleave: 0, TensorMapSwizzle128, TensorMapPromotion256, outside: 0));
        new ReadOnlySpan<byte>(aligned, TensorMapBytes).CopyTo(map);
    }

    private static void Check(int result) => CudaException.ThrowIfFailed((CudaError)result);

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
    private static unsafe partial int cuTensorMapEncodeTiled(
        byte* map, int type, uint rank, nint address, ulong* sizes, ulong* strides, uint* box, uint* steps, int interleave, int swizzle, int promotion, int outside);
}
