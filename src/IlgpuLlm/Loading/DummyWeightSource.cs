using System.Text;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>
/// Random weights made on the device (<c>--load-format dummy</c>): measures speed and memory of a model from its config.json alone. It has every
/// tensor that is asked for. Matrices are uniform with the standard deviation that Transformers initializes with, norms are 1, biases 0.
/// </summary>
internal sealed class DummyWeightSource(ulong seed = 0, ModelQuantization? quantization = null) : IWeightSource
{
    /// <summary>Transformers' initializer_range: 0.02 as the standard deviation; a uniform distribution's is its amplitude / sqrt(3).</summary>
    public static readonly float Amplitude = 0.02f * MathF.Sqrt(3);

    private readonly HashSet<LinearWeight> _filled = new(ReferenceEqualityComparer.Instance);
    private readonly Lock _lock = new();

    /// <inheritdoc/>
    public int MaxConcurrentLayers => 1; // the device makes the weights

    /// <inheritdoc/>
    public bool Contains(string name) => true;

    /// <inheritdoc/>
    public MatrixForm FormOf(IReadOnlyList<MatrixPart> parts, int inFeatures)
    {
        if (quantization is null || !parts.All(part => quantization.Converts(part.Module)))
            return MatrixForm.Elements;
        quantization.CheckGroups(parts[0].Module, inFeatures);
        return new MatrixForm(quantization.Format, []);
    }

    /// <inheritdoc/>
    public void LoadMatrix(IReadOnlyList<MatrixPart> parts, LinearWeight target, int firstRow) =>
        LoadRows(parts[0].Module + ".weight", target, firstRow, parts.Sum(part => part.Rows));

    /// <summary>Fills the whole target at the first of the calls that concern it: fused weights (query, key and value) are loaded in parts.</summary>
    public void LoadRows(string name, LinearWeight target, int firstRow, int rows)
    {
        lock (_lock)
        {
            if (!_filled.Add(target))
                return;
        }
        target.FillRandom(SeedOf(name), Amplitude);
    }

    /// <summary>Does nothing: <see cref="LinearWeight.FillRandom"/> clears the bias.</summary>
    public void LoadBias(string name, LinearWeight target, int first, int count)
    {
    }

    /// <inheritdoc/>
    public void LoadVector(string name, Backend backend, DeviceBuffer target)
    {
        var ones = new float[checked((int)target.Length)];
        Array.Fill(ones, 1);
        backend.Upload(ones, target);
    }

    /// <summary>Does nothing: there are no tensors.</summary>
    public void VerifyAllUsed(IEnumerable<string> ignorable)
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    /// <summary>FNV-1a, so that layers differ and every run and machine has the same weights.</summary>
    private ulong SeedOf(string name)
    {
        ulong hash = 14695981039346656037 ^ seed;
        foreach (byte b in Encoding.UTF8.GetBytes(name))
            hash = (hash ^ b) * 1099511628211;
        return hash;
    }
}
