using IlgpuLlm.Kernels;

namespace IlgpuLlm.Cli.Output;

/// <summary>Element types as --dtype writes them.</summary>
internal static class ElementTypeName
{
    public static string Of(ElementType type) => type switch
    {
        ElementType.F32 => "float32",
        ElementType.F16 => "float16",
        ElementType.BF16 => "bfloat16",
        _ => type.ToString(),
    };
}
