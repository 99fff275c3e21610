using IlgpuLlm.Kernels;

namespace IlgpuLlm.Loading;

/// <summary>
/// Where a model's weights come from. A model asks for each tensor by its name in the checkpoint and says where its elements go; the source checks
/// name, type and shape and streams the elements into the packed layout. Calls for different targets or rows may come from different threads.
/// </summary>
internal interface IWeightSource : IDisposable
{
    /// <summary>The layers that it is worth loading at a time: one matrix alone does not keep all cores busy to its end.</summary>
    int MaxConcurrentLayers { get; }

    /// <summary>Whether there is a tensor of this name.</summary>
    bool Contains(string name);

    /// <summary>
    /// Packs the tensor [<paramref name="rows"/>, target.InFeatures] of F32, F16 or BF16 into the target's rows from <paramref name="firstRow"/> on.
    /// </summary>
    /// <exception cref="CheckpointException">The tensor is missing or of another type or shape.</exception>
    void LoadRows(string name, LinearWeight target, int firstRow, int rows);

    /// <summary>What a matrix of these parts, one above the other, is to be on the device.</summary>
    /// <exception cref="CheckpointException">The parts cannot be one matrix, or cannot be quantized as config.json says.</exception>
    MatrixForm FormOf(IReadOnlyList<MatrixPart> parts, int inFeatures);

    /// <summary>
    /// Packs the parts' matrices, [part.Rows, target.InFeatures] each, one below the other into the target's rows from <paramref name="firstRow"/> on. Codes of the
    /// checkpoint are dequantised where the target is not quantized, and elements are quantized where it is.
    /// </summary>
    /// <param name="parts">The parts.</param>
    /// <param name="target">A weight of the form that <see cref="FormOf"/> says for the whole matrix, or one that is not quantized.</param>
    /// <param name="firstRow">The first row to fill.</param>
    /// <exception cref="CheckpointException">A tensor is missing or of another type or shape, or an element cannot be quantized.</exception>
    void LoadMatrix(IReadOnlyList<MatrixPart> parts, LinearWeight target, int firstRow);

    /// <summary>Copies the tensor [<paramref name="count"/>] into the target's bias from element <paramref name="first"/> on.</summary>
    /// <exception cref="CheckpointException">The tensor is missing or of another type or shape.</exception>
    void LoadBias(string name, LinearWeight target, int first, int count);

    /// <summary>Copies the tensor [target.Length] to an F32 buffer, such as the weights of a norm.</summary>
    /// <exception cref="CheckpointException">The tensor is missing or of another type or shape.</exception>
    void LoadVector(string name, Backend backend, DeviceBuffer target);

    /// <summary>Checks, after loading, that no tensor was left over: one that the model does not know means that the result would be wrong.</summary>
    /// <param name="ignorable">Names that may be left over; <c>*</c> stands for any text: <c>*.rotary_emb.inv_freq</c>.</param>
    /// <exception cref="CheckpointException">There are others; the message lists the first of them.</exception>
    void VerifyAllUsed(IEnumerable<string> ignorable);
}
