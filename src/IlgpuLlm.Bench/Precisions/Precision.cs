namespace IlgpuLlm.Bench.Precisions;

/// <summary>The precisions that are compared, by the names that the seed's benchmark has for them.</summary>
internal static class Precision
{
    public const string Float32 = "float32", Float16 = "float16", Int8 = "int8", Int4 = "int4";

    /// <summary>All, the most exact one first: the others are compared with it.</summary>
    public static readonly IReadOnlyList<string> All = [Float32, Float16, Int8, Int4];

    /// <summary>Reads a list such as <c>float32,int4</c>; in the order of <see cref="All"/>.</summary>
    /// <exception cref="InvalidOptionException">A name is not known, or there is none.</exception>
    public static IReadOnlyList<string> Parse(string list)
    {
        string[] names = list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (names.FirstOrDefault(name => !All.Contains(name)) is { } unknown)
            throw new InvalidOptionException("precisions", $"'{unknown}' is not a precision; supported: {string.Join(", ", All)}");
        if (names.Length == 0)
            throw new InvalidOptionException("precisions", $"names none; supported: {string.Join(", ", All)}");
        return [.. All.Where(names.Contains)];
    }

    /// <summary>The options that make an engine compute so. Layers of 8 and 4 bits go with float16 for all else, as in the seed's benchmark.</summary>
    /// <param name="precision">The precision.</param>
    /// <param name="options">The device and the limits.</param>
    /// <param name="model">The folder.</param>
    /// <param name="isQuantized">Whether the checkpoint is quantized already.</param>
    public static EngineOptions Apply(string precision, EngineOptions options, string model, bool isQuantized) => options with
    {
        Model = model,
        DType = precision == Float32 ? "float32" : "float16",
        Quantization = precision is Int8 or Int4 && !isQuantized ? precision : "auto",
    };
}
