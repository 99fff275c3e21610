using System.Reflection;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>
/// The PTX that an intrinsic becomes: <c>$0, $1...</c> are the fields of the result, flattened, <c>%0, %1...</c> those of the arguments. Operands are
/// registers, so nothing passes through memory.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class PtxAttribute : Attribute
{
    private readonly string? _template;
    private readonly MethodInfo? _writer;

    /// <summary>A fixed text.</summary>
    public PtxAttribute(string template) => _template = template;

    /// <summary>
    /// A text that the static method <paramref name="writer"/> of <paramref name="type"/> returns: it has no parameters and the intrinsic's own type
    /// parameters, so that the text can depend on their static members.
    /// </summary>
    public PtxAttribute(Type type, string writer) => _writer =
        type.GetMethod(writer, BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)
        ?? throw new ArgumentException($"{type} has no static method {writer}", nameof(writer));

    /// <summary>The text for an intrinsic, closed over its type parameters.</summary>
    public string Template(MethodInfo intrinsic) =>
        _template ?? (string)(_writer!.IsGenericMethod ? _writer.MakeGenericMethod(intrinsic.GetGenericArguments()) : _writer).Invoke(null, null)!;
}
