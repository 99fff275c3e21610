namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Attention of halves. Decode steps: a group a key-value head of a sequence, or, of many sequences with few query heads on a key-value head, a warp a head.
/// Other batches: one kernel, which depends on the device and reads halves: of a cache of codes, what the batch sees is widened before.
/// </summary>
/// <param name="device">The device.</param>
/// <param name="rotary">Rotates what is not rotated by the attention itself.</param>
/// <param name="isBatchInvariant">Whether decode steps take the kernel of other batches, whose order of additions is another.</param>
internal sealed class HalfAttentionKernels(CudaGpuDevice device, RotaryKernel rotary, bool isBatchInvariant = false) : IDisposable
{
    private const int MinHeadsByWarp = 512; // measured: with fewer warps a head takes too long

    private readonly FlashAttentionKernel _flash = new(device);
    private readonly HopperFlashAttentionKernel? _hopperFlash = device.IsHopper ? new(device) : null;
    private readonly WidenCacheKernel _widen = new(device);
    private readonly DecodeAttentionKernel _byGroup = new(device);
    private readonly WarpAttentionKernel _byWarp = new(device);

    /// <summary>The bytes that they need beside their arguments.</summary>
    public long WorkspaceBytes(WorkspaceShape shape)
    {
        if (isBatchInvariant)
            return 0;
        var attention = shape.Model.Attention;
        int most = MaxSeqsByGroup(shape);
        return DecodeAttentionKernel.WorkspaceBytes(most, attention) + (most < shape.MaxSeqs ? WarpAttentionKernel.WorkspaceBytes(shape.MaxSeqs, attention) : 0);
    }

    /// <summary>Whether heads of this shape are taken.</summary>
    public bool Supports(AttentionShape shape) =>
        _flash.Supports(shape, ElementType.F16, ElementType.F16)
        && _byGroup.Supports(shape, ElementType.F16, ElementType.F16);

    /// <summary>Allocates the workspace and loads what this shape needs.</summary>
    public void Reserve(WorkspaceShape shape)
    {
        if (!isBatchInvariant)
        {
            int most = MaxSeqsByGroup(shape);
            _byGroup.Reserve(most, shape.Model.Attention, shape.Model.KvCache);
            if (most < shape.MaxSeqs)
                _byWarp.Reserve(shape.MaxSeqs, shape.Model.Attention, shape.Model.KvCache);
        }
        if (shape.Model.KvCache == ElementType.U8)
            _widen.Prepare();
        if (_hopperFlash?.Supports(shape.Model.Attention) == true)
            _hopperFlash.Prepare(shape.Model.Attention);
        else
            _flash.Prepare(shape.Model.Attention);
    }

    /// <summary>As <see cref="Backend.Attention"/>.</summary>
    public void Launch(AttentionShape shape, GpuBuffer qkv, RotaryTable table, KvCacheLayer cache, BatchMetadata batch, GpuBuffer output)
    {
        if (batch.NumTokens == batch.NumSeqs && !isBatchInvariant)
        {
            DecodeKernel(shape, batch.NumSeqs).Launch(shape, qkv, table, cache, batch, output);
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
        if (cache.Scales is not null)
            cache = _widen.Launch(shape, cache, batch);
        if (_hopperFlash?.Supports(shape) == true && HopperFlashAttentionKernel.Supports(cache))
            _hopperFlash.Launch(shape, qkv, cache, batch, output);
        else
            _flash.Launch(shape, qkv, cache, batch, output);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _hopperFlash?.Dispose();
        _byGroup.Dispose();
        _byWarp.Dispose();
    }

    /// <summary>The largest batch whose heads are made by groups.</summary>
    private static int MaxSeqsByGroup(WorkspaceShape shape)
    {
        var attention = shape.Model.Attention;
        return WarpAttentionKernel.Supports(attention) ? Math.Min(shape.MaxSeqs, (MinHeadsByWarp - 1) / attention.NumHeads) : shape.MaxSeqs;
    }

    private IDecodeAttention DecodeKernel(AttentionShape shape, int numSeqs) =>
        WarpAttentionKernel.Supports(shape) && numSeqs * shape.NumHeads >= MinHeadsByWarp ? _byWarp : _byGroup;
}
