namespace IlgpuLlm.Loading;

/// <summary>One tensor of a safetensors file; checked against the file's size.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">The type of its elements.</param>
/// <param name="Shape">Its shape, row-major; empty for a scalar.</param>
/// <param name="Begin">Its first byte, counted from the end of the header.</param>
/// <param name="ByteLength">Its size.</param>
internal sealed record TensorInfo(string Name, TensorType Type, IReadOnlyList<long> Shape, long Begin, long ByteLength)
{
    /// <summary>The byte after its last one, counted from the end of the header.</summary>
    public long End => Begin + ByteLength;

    /// <summary>Its shape as it is written: <c>[64, 256]</c>.</summary>
    public string ShapeText => FormatShape(Shape);

    /// <summary>A shape as it is written.</summary>
    public static string FormatShape(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";
}
