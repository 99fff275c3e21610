using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>
/// Compiles kernels to patched PTX, on any number of threads: each works in an ILGPU context of its own, as a context compiles one kernel at a time and
/// is of no further use after one that failed. Needs no device.
/// </summary>
internal sealed class PtxCompiler(CudaArchitecture architecture, CudaInstructionSet instructionSet) : IDisposable
{
    private readonly ConcurrentBag<PTXBackend> _idle = [];
    private readonly int _number = 10 * architecture.Major + architecture.Minor;

    /// <summary>What the text depends on beside the kernel.</summary>
    public string Target { get; } = $"sm_{10 * architecture.Major + architecture.Minor}, PTX {instructionSet}";

    /// <summary>Describes a kernel to ILGPU: explicitly grouped, with its largest group size.</summary>
    public static (EntryPointDescription Entry, KernelSpecialization Specialization) Describe(GpuKernel kernel) =>
        (EntryPointDescription.FromExplicitlyGroupedKernel(kernel.Body), new KernelSpecialization(kernel.GroupSize, minNumGroupsPerMultiprocessor: 1));

    /// <summary>Compiles a kernel.</summary>
    public PtxKernel Compile(GpuKernel kernel)
    {
        var translated = Translate(kernel);
        return translated with { Text = PtxPatch.Apply(translated.Text, _number, kernel) };
    }

    /// <summary>A kernel as ILGPU writes it: not patched, and the same for all architectures from sm_80 on.</summary>
    public PtxKernel Translate(GpuKernel kernel)
    {
        if (!_idle.TryTake(out var backend))
            backend = new PTXBackend(Context.Create(builder => PtxKernels.Configure(builder)), architecture, instructionSet, null!);
        try
        {
            var (entry, specialization) = Describe(kernel);
            var compiled = (PTXCompiledKernel)backend.Compile(entry, specialization);
            var shared = EntryPointOf(compiled).SharedMemory;
            var result = new PtxKernel(compiled.PTXAssembly, shared.StaticSize, shared.HasDynamicMemory);
            _idle.Add(backend);
            return result;
        }
        catch
        {
            Dispose(backend);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        while (_idle.TryTake(out var backend))
            Dispose(backend);
    }

    private static void Dispose(PTXBackend backend)
    {
        var context = backend.Context;
        backend.Dispose();
        context.Dispose();
    }

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_EntryPoint")]
    private static extern EntryPoint EntryPointOf(CompiledKernel kernel);
}
