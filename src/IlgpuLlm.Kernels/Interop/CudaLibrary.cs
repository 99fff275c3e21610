using System.Reflection;
using System.Runtime.InteropServices;
using ILGPU;

namespace IlgpuLlm.Kernels.Interop;

/// <summary>
/// Finds the CUDA driver. ILGPU binds to a library called <c>cuda</c>, but machines without development packages only have
/// <c>libcuda.so.1</c>: without this, ILGPU sees no device there and says nothing. <see cref="CudaDriver"/> binds to the same name.
/// </summary>
internal static class CudaLibrary
{
    private static readonly Lock Gate = new();
    private static bool _isRegistered;

    /// <summary>Teaches ILGPU's assembly and this one the driver's name. To be called before anything of CUDA is touched.</summary>
    public static void Register()
    {
        lock (Gate)
        {
            if (_isRegistered)
                return;
            NativeLibrary.SetDllImportResolver(typeof(Context).Assembly, Resolve);
            NativeLibrary.SetDllImportResolver(typeof(CudaLibrary).Assembly, Resolve);
            _isRegistered = true;
        }
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath)
    {
        if (name != "cuda" || !OperatingSystem.IsLinux())
            return 0; // the runtime's own way
        return NativeLibrary.TryLoad("libcuda.so.1", out nint handle) || NativeLibrary.TryLoad("libcuda.so", out handle) ? handle : 0;
    }
}
