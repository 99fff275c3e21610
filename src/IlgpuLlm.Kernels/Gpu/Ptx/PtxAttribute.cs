namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>
/// The PTX that a method of <see cref="PtxIntrinsics"/> becomes: <c>$0, $1...</c> are the fields of the result, flattened, <c>%0, %1...</c> those of the
/// arguments. Operands are registers, so nothing passes through memory.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class PtxAttribute(string template) : Attribute
{
    public string Template { get; } = template;
}
