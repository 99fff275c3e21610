using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>The way of a kernel from C# to the device: compile, patch the text, load. The place where intrinsics are made known to ILGPU.</summary>
internal static class PtxKernels
{
    private const int MaxStaticSharedBytes = 48 * 1024; // more must be asked for

    /// <summary>The settings that all CUDA kernels are compiled with. O1 would make every global access generic.</summary>
    public static Context.Builder Configure(Context.Builder builder)
    {
        PtxIntrinsicGenerator.Register(builder);
        return builder.Optimize(OptimizationLevel.O2).Inlining(InliningMode.Aggressive);
    }

    /// <summary>Compiles a kernel and loads it into a device.</summary>
    public static Kernel Load(CudaAccelerator accelerator, GpuKernel kernel)
    {
        var compiled = Compile(accelerator.Backend, kernel);
        Text(compiled) = PtxPatch.Apply(compiled.PTXAssembly, target: null, kernel);
        var loaded = (CudaKernel)accelerator.LoadKernel(compiled);
        if (kernel.DynamicSharedBytes > MaxStaticSharedBytes)
            CudaDriver.AllowDynamicSharedMemory(loaded.FunctionPtr, kernel.DynamicSharedBytes);
        return loaded;
    }

    /// <summary>The patched text of a kernel for an architecture, without a device.</summary>
    /// <param name="kernel">The kernel.</param>
    /// <param name="major">Compute capability.</param>
    /// <param name="minor">Compute capability.</param>
    public static string Compile(GpuKernel kernel, int major, int minor)
    {
        using var context = Context.Create(builder => Configure(builder)); // of its own: a kernel that fails to compile poisons it
        using var backend = new PTXBackend(context, new CudaArchitecture(major, minor), CudaInstructionSet.ISA_84, null!);
        return PtxPatch.Apply(Compile(backend, kernel).PTXAssembly, $"sm_{major}{minor}", kernel);
    }

    private static PTXCompiledKernel Compile(PTXBackend backend, GpuKernel kernel) =>
        (PTXCompiledKernel)backend.Compile(
            EntryPointDescription.FromExplicitlyGroupedKernel(kernel.Body), new KernelSpecialization(kernel.GroupSize, minNumGroupsPerMultiprocessor: 1));

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "<PTXAssembly>k__BackingField")]
    private static extern ref string Text(PTXCompiledKernel kernel);
}
