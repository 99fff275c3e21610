using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Cpu;

/// <summary>The contract on one thread, with the widest vectors.</summary>
[TestClass]
public sealed class CpuBackendTests : BackendContractTests
{
    protected override Backend CreateBackend() => new CpuBackend(numThreads: 1);
}

/// <summary>The contract on three threads, more than some machines have cores.</summary>
[TestClass]
public sealed class CpuBackendThreadedTests : BackendContractTests
{
    protected override Backend CreateBackend() => new CpuBackend(numThreads: 3);
}

/// <summary>The contract with AVX2, or what the machine has instead.</summary>
[TestClass]
public sealed class CpuBackendVector256Tests : BackendContractTests
{
    protected override Backend CreateBackend() => new CpuBackend(1, WidestUpTo(8));

    internal static CpuKernels WidestUpTo(int vectorLength) => CpuKernels.WidestFirst.First(k => k.VectorLength <= vectorLength);
}

/// <summary>The contract with SSE or NEON.</summary>
[TestClass]
public sealed class CpuBackendVector128Tests : BackendContractTests
{
    protected override Backend CreateBackend() => new CpuBackend(1, CpuBackendVector256Tests.WidestUpTo(4));
}

/// <summary>The contract without vectors.</summary>
[TestClass]
public sealed class CpuBackendScalarTests : BackendContractTests
{
    protected override Backend CreateBackend() => new CpuBackend(1, CpuBackendVector256Tests.WidestUpTo(1));
}
