namespace IlgpuLlm.Tools;

/// <summary>A tensor to be written: matrices are random, norms (one dimension) are ones.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Its shape.</param>
internal sealed record TensorSpec(string Name, params long[] Shape)
{
    /// <summary>The number of elements.</summary>
    public long Length => Shape.Aggregate(1L, (product, dimension) => product * dimension);

    /// <summary>Whether it is a norm's weight.</summary>
    public bool IsNorm => Shape.Length == 1;
}
