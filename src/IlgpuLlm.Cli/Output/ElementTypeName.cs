using IlgpuLlm.Kernels;

namespace IlgpuLlm.Cli.Output;

/// <summary>Element types as --dtype writes them; codes of the KV cache as --kv-cache-dtype does.</summary>
internal static class ElementTypeName
{
    public static string Of(ElementType type) => type switch
    {
        ElementType.F32 => "float32",
        ElementType.F16 => "float16",
        ElementType.BF16 => "bfloat16",
        ElementType.U8 => "int8",
        _ => type.ToString(),
    };
}
