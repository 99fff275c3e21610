using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>The way of a kernel from C# to the device: compile and patch, or find it on disk; load. The place where intrinsics are made known to ILGPU.</summary>
internal static class PtxKernels
{
    private const int UsualSharedBytes = 48 * 1024; // more must be asked for

    /// <summary>The settings that all CUDA kernels are compiled with. O1 would make every global access generic.</summary>
    public static Context.Builder Configure(Context.Builder builder)
    {
        PtxIntrinsicGenerator.Register(builder);
        return builder.Optimize(OptimizationLevel.O2).Inlining(InliningMode.Aggressive);
    }

    /// <summary>Finds a kernel in the cache, or compiles it and puts it there.</summary>
    public static PtxKernel Get(PtxCompiler compiler, PtxCache cache, GpuKernel kernel)
    {
        if (cache.Find(kernel, compiler.Target) is { } found)
            return found;
        var compiled = compiler.Compile(kernel);
        cache.Store(kernel, compiler.Target, compiled);
        return compiled;
    }

    /// <summary>Loads a compiled kernel into a device. Several threads may do so at a time.</summary>
    public static Kernel Load(CudaAccelerator accelerator, GpuKernel kernel, PtxKernel compiled)
    {
        var loaded = (CudaKernel)accelerator.LoadKernel(ForLauncher(accelerator.Context, kernel, compiled));
        if (compiled.StaticSharedBytes + kernel.DynamicSharedBytes > UsualSharedBytes)
            CudaDriver.AllowDynamicSharedMemory(loaded.FunctionPtr, kernel.DynamicSharedBytes);
        return loaded;
    }

    /// <summary>The patched text of a kernel for an architecture, without a device.</summary>
    /// <param name="kernel">The kernel.</param>
    /// <param name="major">Compute capability.</param>
    /// <param name="minor">Compute capability.</param>
    public static string Compile(GpuKernel kernel, int major, int minor)
    {
        using var compiler = new PtxCompiler(new CudaArchitecture(major, minor), CudaInstructionSet.ISA_84);
        return compiler.Compile(kernel).Text;
    }

    /// <summary>What ILGPU makes launchers from: of a kernel's C# it needs the signature alone, so a text that was compiled elsewhere serves as well.</summary>
    internal static PTXCompiledKernel ForLauncher(Context context, GpuKernel kernel, PtxKernel compiled)
    {
        var (entry, specialization) = PtxCompiler.Describe(kernel);
        var shared = new SharedMemorySpecification(compiled.StaticSharedBytes, compiled.HasDynamicShared);
        return Create(context, new EntryPoint(entry, shared, specialization), null, compiled.Text);
    }

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    private static extern PTXCompiledKernel Create(Context context, EntryPoint entryPoint, CompiledKernel.KernelInfo? info, string text);
}
