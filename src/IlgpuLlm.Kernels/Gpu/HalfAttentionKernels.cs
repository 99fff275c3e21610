namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Attention of halves: one kernel for decode steps, which depends on how many query heads share a key-value head, and one for every other batch, which depends on the device.</summary>
internal sealed class HalfAttentionKernels(CudaGpuDevice device, RotaryKernel rotary) : IDisposable
{
    private readonly FlashAttentionKernel _flash = new(device);
    private readonly HopperFlashAttentionKernel? _hopperFlash = device.IsHopper ? new(device) : null;
    private readonly DecodeAttentionKernel _manyHeads = new(device);
    private readonly WarpAttentionKernel _fewHeads = new(device);

    /// <summary>The bytes that they need beside their arguments.</summary>
    public static long WorkspaceBytes(WorkspaceShape shape) => WarpAttentionKernel.Supports(shape.Model.Attention)
        ? WarpAttentionKernel.WorkspaceBytes(shape.MaxSeqs, shape.Model.Attention)
        : DecodeAttentionKernel.WorkspaceBytes(shape.MaxSeqs, shape.Model.Attention);

    /// <summary>Whether heads of this shape are taken.</summary>
    public bool Supports(AttentionShape shape) =>
        _flash.Supports(shape, ElementType.F16, ElementType.F16)
        && (WarpAttentionKernel.Supports(shape) || _manyHeads.Supports(shape, ElementType.F16, ElementType.F16));

    /// <summary>Allocates the workspace and loads what this shape needs.</summary>
    public void Reserve(WorkspaceShape shape)
    {
        DecodeKernel(shape.Model.Attention).Reserve(shape.MaxSeqs, shape.Model.Attention);
        if (_hopperFlash?.Supports(shape.Model.Attention) == true)
            _hopperFlash.Prepare(shape.Model.Attention);
        else
            _flash.Prepare(shape.Model.Attention);
    }

    /// <summary>As <see cref="Backend.Attention"/>.</summary>
    public void Launch(AttentionShape shape, GpuBuffer qkv, RotaryTable table, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        if (batch.NumTokens == batch.NumSeqs)
        {
            DecodeKernel(shape).Launch(shape, qkv, table, cache, batch, output);
        }
        else
        {
            rotary.Launch(shape, qkv, table, cache, batch);
            Attend(shape, qkv, cache, batch, output);
        }
    }

    /// <summary>As <see cref="Backend.PagedAttention"/>.</summary>
    public void Attend(AttentionShape shape, GpuBuffer qkv, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        if (_hopperFlash?.Supports(shape) == true && HopperFlashAttentionKernel.Supports(cache))
            _hopperFlash.Launch(shape, qkv, cache, batch, output);
        else
            _flash.Launch(shape, qkv, cache, batch, output);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _hopperFlash?.Dispose();
        _manyHeads.Dispose();
        _fewHeads.Dispose();
    }

    private IDecodeAttention DecodeKernel(AttentionShape shape) => WarpAttentionKernel.Supports(shape) ? _fewHeads : _manyHeads;
}
