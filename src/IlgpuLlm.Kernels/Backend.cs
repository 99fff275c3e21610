namespace IlgpuLlm.Kernels;

/// <summary>
/// One device and the fused operations that a decoder-only transformer needs on it. The residual stream and logits are F32; what layers pass on within
/// themselves is of the <see cref="ActivationType"/>. Operations are queued in order; results are visible to <see cref="Download(DeviceBuffer, Span{float})"/>. Every operation checks its shapes and throws <see cref="ArgumentException"/> before it starts.
/// </summary>
/// <remarks>
/// Each row of a result depends on that row's inputs alone, down to the last bit: neither the number of rows nor their order, the block size
/// or the chunking changes a result; only that one row, some, and many may be multiplied by different kernels, and that one token a sequence and several may
/// go through different attention, unless it <see cref="IsBatchInvariant"/>. A backend is used by one thread at a time; weights may be loaded from several.
/// </remarks>
public abstract partial class Backend : IDisposable
{
    private DeviceBuffer? _gateUp; // F32, [maxTokens, 2 * intermediate]

    /// <summary>How a user writes this device: <c>cpu</c>, <c>cuda:0</c>, <c>ilgpu-cpu</c>.</summary>
    public abstract string Device { get; }

    /// <summary>The device's own name, such as <c>NVIDIA H100 80GB HBM3</c>.</summary>
    public abstract string Description { get; }

    /// <summary>Whether the device's memory is the machine's own.</summary>
    public abstract bool IsHostMemory { get; }

    /// <summary>Whether products of several rows of F32 are made of TF32 values: it was allowed, and the device can.</summary>
    public virtual bool MultipliesTf32 => false;

    /// <summary>
    /// Whether each operation has one order of additions, for one row as for many, for one token a sequence as for several: then a row's result is the same
    /// bits in every batch.
    /// </summary>
    public virtual bool IsBatchInvariant => false;

    /// <summary>Reads how much memory the device has and how much of it is free now.</summary>
    public abstract DeviceMemory QueryMemory();

    /// <summary>How many buffers and weights were allocated so far. A step adds none.</summary>
    public virtual long NumAllocations => 0;

    /// <summary>Waits until what a device still does after it was opened, such as compiling kernels, is done. Operations wait by themselves for what they need.</summary>
    public virtual void FinishOpening()
    {
    }

    /// <summary>Allocates a buffer. Contents are undefined.</summary>
    /// <exception cref="DeviceOutOfMemoryException">The device has not that much.</exception>
    public abstract DeviceBuffer Allocate(ElementType type, long length);

    /// <summary>Allocates a linear layer's matrix in this backend's packed layout, to be filled by its LoadRows or FillRandom.</summary>
    /// <exception cref="DeviceOutOfMemoryException">The device has not that much.</exception>
    public abstract LinearWeight CreateLinear(int outFeatures, int inFeatures, ElementType storage, bool hasBias);

    /// <summary>The bytes that <see cref="CreateLinear"/> would allocate, padding included.</summary>
    public abstract long LinearByteLength(int outFeatures, int inFeatures, ElementType storage, bool hasBias);

    /// <summary>
    /// Allocates a quantized linear layer's matrix, to be filled by its LoadQuantizedRows or FillRandom. Stored input j is feature
    /// <paramref name="inputOrder"/>[j] of a row that it is multiplied by (GPTQ's act-order sorts inputs by group); empty where nothing is moved.
    /// </summary>
    /// <exception cref="DeviceOutOfMemoryException">The device has not that much.</exception>
    /// <exception cref="NotSupportedException">The backend has no kernel for this format and shape; the message names the numbers.</exception>
    public virtual LinearWeight CreateQuantizedLinear(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder) =>
        throw new NotSupportedException($"{Device} has no kernels for weights of {format.Bits} bits");

    /// <summary>The bytes that <see cref="CreateQuantizedLinear"/> would allocate, padding included.</summary>
    public virtual long QuantizedLinearByteLength(int outFeatures, int inFeatures, QuantizationFormat format, bool hasBias, bool isReordered) =>
        throw new NotSupportedException($"{Device} has no kernels for weights of {format.Bits} bits");

    /// <summary>
    /// Allocates a model's quantized matrix of gate and up projection as <see cref="LinearSiluMul"/> reads it. For LoadQuantizedRows the gate rows come first.
    /// </summary>
    /// <exception cref="DeviceOutOfMemoryException">The device has not that much.</exception>
    public virtual LinearWeight CreateQuantizedGateUp(ModelShape model, QuantizationFormat format, bool hasBias, ReadOnlySpan<int> inputOrder) =>
        CreateQuantizedLinear(checked(2 * model.IntermediateSize), model.HiddenSize, format, hasBias, inputOrder);

    /// <summary>
    /// Allocates a model's matrix of gate and up projection, [2 * intermediate, hidden], as <see cref="LinearSiluMul"/> reads it. For LoadRows the gate
    /// rows come first.
    /// </summary>
    /// <exception cref="DeviceOutOfMemoryException">The device has not that much.</exception>
    public virtual LinearWeight CreateGateUp(ModelShape model, bool hasBias) =>
        CreateLinear(checked(2 * model.IntermediateSize), model.HiddenSize, model.Weights, hasBias);

    /// <summary>How the output layer of a model is to be quantized; null: it is a matrix of the model's type.</summary>
    public virtual QuantizationFormat? OutputQuantization(ModelShape model) => null;

    /// <summary>The type of normalised rows, queries, keys and values, attention outputs and MLP activations.</summary>
    public virtual ElementType ActivationType(ModelShape model) => ElementType.F32;

    /// <summary>Whether attention reads this model's cache of codes through halves, so that <see cref="KvCacheLayer.Widened"/> must be there.</summary>
    public virtual bool WidensCache(ModelShape model) => false;

    /// <summary>The bytes that operations need beside their arguments.</summary>
    public virtual long WorkspaceByteLength(WorkspaceShape shape) => GateUpLength(shape) * sizeof(float);

    /// <summary>Allocates that workspace, in place of an earlier one. Called before the first operation that needs it.</summary>
    public virtual void ReserveWorkspace(WorkspaceShape shape)
    {
        _gateUp?.Dispose();
        _gateUp = GateUpLength(shape) is > 0 and var length ? Allocate(ElementType.F32, length) : null;
    }

    /// <summary>Copies floats to the device.</summary>
    public abstract void Upload(ReadOnlySpan<float> source, DeviceBuffer destination);

    /// <summary>Copies halves to the device.</summary>
    public abstract void Upload(ReadOnlySpan<Half> source, DeviceBuffer destination);

    /// <summary>Copies integers to the device.</summary>
    public abstract void Upload(ReadOnlySpan<int> source, DeviceBuffer destination);

    /// <summary>Copies bytes to the device.</summary>
    public abstract void Upload(ReadOnlySpan<byte> source, DeviceBuffer destination);

    /// <summary>Waits for the operations before it and copies floats from the device.</summary>
    public abstract void Download(DeviceBuffer source, Span<float> destination);

    /// <summary>Waits for the operations before it and copies halves from the device.</summary>
    public abstract void Download(DeviceBuffer source, Span<Half> destination);

    /// <summary>Waits for the operations before it and copies bytes from the device.</summary>
    public abstract void Download(DeviceBuffer source, Span<byte> destination);

    /// <summary>Queues a copy of all elements of <paramref name="source"/> to the first ones of <paramref name="destination"/>, on the device.</summary>
    public abstract void Copy(DeviceBuffer source, DeviceBuffer destination);

    /// <summary>Waits until every queued operation has ended.</summary>
    public abstract void Synchronize();

    /// <summary>Whether <see cref="CaptureGraph"/> records operations.</summary>
    public virtual bool SupportsGraphs => false;

    /// <summary>Records the operations that <paramref name="operations"/> queues, without running them. They must not copy to or from the host.</summary>
    /// <exception cref="NotSupportedException">The device has no graphs.</exception>
    public virtual DeviceGraph CaptureGraph(Action operations) => throw new NotSupportedException($"{Device} has no graphs");

    /// <summary>A timer of runs of operations; null where operations end before they return, or the device has no clock.</summary>
    public virtual DeviceStepTimer? CreateStepTimer() => null;

    /// <summary>hidden[t] = table[tokenIds[t]]. Ids must be below the table's rows (checked by the caller, who knows the request).</summary>
    /// <param name="table">[vocab, hidden]; the output layer's weight where embeddings are tied.</param>
    /// <param name="tokenIds">I32, [numTokens].</param>
    /// <param name="hidden">F32, [numTokens, hidden].</param>
    /// <param name="numTokens">Rows.</param>
    public abstract void EmbeddingLookup(LinearWeight table, DeviceBuffer tokenIds, DeviceBuffer hidden, int numTokens);

    /// <summary>output[r] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight.</summary>
    /// <param name="x">F32, [numRows, width].</param>
    /// <param name="weight">F32, [width].</param>
    /// <param name="output">F32 or the activation type, [numRows, width].</param>
    /// <param name="numRows">Rows.</param>
    /// <param name="epsilon">The config's rms_norm_eps.</param>
    public abstract void RmsNorm(DeviceBuffer x, DeviceBuffer weight, DeviceBuffer output, int numRows, float epsilon);

    /// <summary>output = input W^T + bias.</summary>
    /// <param name="weight">[outFeatures, inFeatures].</param>
    /// <param name="input">F32 or the activation type, [numRows, inFeatures].</param>
    /// <param name="output">F32 or the activation type, [numRows, outFeatures].</param>
    /// <param name="numRows">Rows.</param>
    public abstract void Linear(LinearWeight weight, DeviceBuffer input, DeviceBuffer output, int numRows);

    /// <summary>residual += input W^T + bias.</summary>
    /// <param name="weight">[outFeatures, inFeatures].</param>
    /// <param name="input">F32 or the activation type, [numRows, inFeatures].</param>
    /// <param name="residual">F32, [numRows, outFeatures]; updated.</param>
    /// <param name="numRows">Rows.</param>
    public abstract void LinearAdd(LinearWeight weight, DeviceBuffer input, DeviceBuffer residual, int numRows);

    /// <summary>output = silu(gate) * up, where gate and up are the halves of input W^T + bias.</summary>
    /// <param name="weight">[2 * intermediate, inFeatures], made by <see cref="CreateGateUp"/>.</param>
    /// <param name="input">F32 or the activation type, [numRows, inFeatures].</param>
    /// <param name="output">F32 or the activation type, [numRows, intermediate].</param>
    /// <param name="numRows">Rows, at most the workspace's.</param>
    public virtual void LinearSiluMul(LinearWeight weight, DeviceBuffer input, DeviceBuffer output, int numRows)
    {
        if (_gateUp is null || _gateUp.Length < (long)numRows * weight.OutFeatures)
            throw new ArgumentException($"no workspace was reserved for {numRows} rows of {weight.OutFeatures}", nameof(numRows));
        Linear(weight, input, _gateUp, numRows);
        SiluMul(_gateUp, output, numRows, weight.OutFeatures / 2);
    }

    /// <summary><see cref="RmsNorm"/> of <paramref name="x"/>, then <see cref="Linear"/>; a backend may make both in one step.</summary>
    /// <param name="x">F32, [numRows, inFeatures].</param>
    /// <param name="norm">F32, [inFeatures]: the norm's weight.</param>
    /// <param name="epsilon">The config's rms_norm_eps.</param>
    /// <param name="normed">The type of what is multiplied, [numRows, inFeatures]. Undefined afterwards.</param>
    /// <param name="weight">[outFeatures, inFeatures].</param>
    /// <param name="output">F32 or the activation type, [numRows, outFeatures].</param>
    /// <param name="numRows">Rows.</param>
    public virtual void RmsNormLinear(DeviceBuffer x, DeviceBuffer norm, float epsilon, DeviceBuffer normed, LinearWeight weight, DeviceBuffer output, int numRows)
    {
        RmsNorm(x, norm, normed, numRows, epsilon);
        Linear(weight, normed, output, numRows);
    }

    /// <summary><see cref="RmsNorm"/> of <paramref name="x"/>, then <see cref="LinearSiluMul"/>; a backend may make both in one step.</summary>
    /// <param name="x">F32, [numRows, inFeatures].</param>
    /// <param name="norm">F32, [inFeatures]: the norm's weight.</param>
    /// <param name="epsilon">The config's rms_norm_eps.</param>
    /// <param name="normed">The type of what is multiplied, [numRows, inFeatures]. Undefined afterwards.</param>
    /// <param name="weight">[2 * intermediate, inFeatures], made by <see cref="CreateGateUp"/>.</param>
    /// <param name="output">F32 or the activation type, [numRows, intermediate].</param>
    /// <param name="numRows">Rows, at most the workspace's.</param>
    public virtual void RmsNormLinearSiluMul(DeviceBuffer x, DeviceBuffer norm, float epsilon, DeviceBuffer normed, LinearWeight weight, DeviceBuffer output, int numRows)
    {
        RmsNorm(x, norm, normed, numRows, epsilon);
        LinearSiluMul(weight, normed, output, numRows);
    }

    /// <summary><see cref="RotaryAndWriteKv"/>, then <see cref="PagedAttention"/>.</summary>
    /// <param name="shape">The attention shape.</param>
    /// <param name="qkv">F32 or the activation type, [numTokens, qkvWidth]; each row query, key, value. Undefined afterwards.</param>
    /// <param name="rotary">The table that <see cref="BatchMetadata.RotaryRows"/> points into.</param>
    /// <param name="cache">The layer's cache.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="output">F32 or the activation type, [numTokens, queryWidth].</param>
    public virtual void Attention(AttentionShape shape, DeviceBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch, DeviceBuffer output)
    {
        RotaryAndWriteKv(shape, qkv, rotary, cache, batch);
        PagedAttention(shape, qkv, cache, batch, output);
    }

    /// <summary>
    /// Rotates the queries and keys of <paramref name="qkv"/> (rotate-half convention: element i pairs with i + headDim/2), queries in place, and
    /// writes the rotated keys and the values to their cache slots.
    /// </summary>
    /// <param name="shape">The attention shape.</param>
    /// <param name="qkv">F32, [numTokens, qkvWidth]; each row query, key, value.</param>
    /// <param name="rotary">The table that <see cref="BatchMetadata.RotaryRows"/> points into.</param>
    /// <param name="cache">The layer's cache.</param>
    /// <param name="batch">The batch.</param>
    public abstract void RotaryAndWriteKv(AttentionShape shape, DeviceBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch);

    /// <summary>
    /// Causal attention of every token over the cached keys and values of its own sequence, found through the block tables. The batch's own keys
    /// must have been written before.
    /// </summary>
    /// <param name="shape">The attention shape.</param>
    /// <param name="qkv">F32, [numTokens, qkvWidth]; only the rotated queries are read.</param>
    /// <param name="cache">The layer's cache.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="output">F32, [numTokens, queryWidth].</param>
    public abstract void PagedAttention(AttentionShape shape, DeviceBuffer qkv, KvCacheLayer cache, BatchMetadata batch, DeviceBuffer output);

    /// <summary>output[r, i] = silu(gateUp[r, i]) * gateUp[r, width + i], with silu(x) = x / (1 + exp(-x)).</summary>
    /// <param name="gateUp">F32, [numRows, 2 * width].</param>
    /// <param name="output">F32, [numRows, width].</param>
    /// <param name="numRows">Rows.</param>
    /// <param name="width">The MLP's intermediate size.</param>
    public abstract void SiluMul(DeviceBuffer gateUp, DeviceBuffer output, int numRows, int width);

    /// <summary>output[i] = source[indices[i]].</summary>
    /// <param name="source">F32, [any, width].</param>
    /// <param name="indices">I32, [numRows].</param>
    /// <param name="output">F32, [numRows, width].</param>
    /// <param name="numRows">Rows to gather.</param>
    /// <param name="width">Elements in a row.</param>
    public abstract void GatherRows(DeviceBuffer source, DeviceBuffer indices, DeviceBuffer output, int numRows, int width);

    /// <summary>Frees the device. Buffers and weights are disposed before.</summary>
    public virtual void Dispose() => _gateUp?.Dispose();

    /// <summary>The floats that <see cref="LinearSiluMul"/> keeps between its two steps; 0 for a backend that makes them in one.</summary>
    protected virtual long GateUpLength(WorkspaceShape shape) => 2L * shape.MaxTokens * shape.Model.IntermediateSize;
}
