namespace IlgpuLlm.Kernels;

/// <summary>
/// Cosines and sines for rotary embeddings, computed by the host (GPU kernels have no range reduction): row r holds
/// cos(r, 0..half-1) and then sin(r, 0..half-1), with half = headDim / 2. Usually row r is position r; see <see cref="BatchMetadata.RotaryRows"/>.
/// </summary>
public sealed class RotaryTable
{
    /// <summary>Describes a table.</summary>
    /// <param name="values">F32, [numRows, headDim].</param>
    /// <param name="numRows">The number of rows.</param>
    /// <param name="headDim">Elements in a head.</param>
    public RotaryTable(DeviceBuffer values, int numRows, int headDim)
    {
        if (values.Type != ElementType.F32 || values.Length != (long)numRows * headDim)
            throw new ArgumentException($"a rotary table of {numRows} rows needs {(long)numRows * headDim} F32 elements, not {values.Length} {values.Type}", nameof(values));
        Values = values;
        NumRows = numRows;
        HeadDim = headDim;
    }

    /// <summary>F32, [numRows, headDim].</summary>
    public DeviceBuffer Values { get; }

    /// <summary>The number of rows.</summary>
    public int NumRows { get; }

    /// <summary>Elements in a head.</summary>
    public int HeadDim { get; }
}
