namespace IlgpuLlm.Kernels.Gpu;

/// <summary>Which kernel makes attention.</summary>
public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override void RotaryAndWriteKv(AttentionShape shape, DeviceBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch) =>
        _rotary.Launch(shape, _device.Own(qkv), rotary, cache, batch);

    /// <inheritdoc/>
    public override void PagedAttention(AttentionShape shape, DeviceBuffer qkv, KvCacheLayer cache, BatchMetadata batch, DeviceBuffer output)
    {
        if (qkv.Type == ElementType.F16 && _halfAttention is not null)
            _halfAttention.Attend(shape, _device.Own(qkv), cache, batch, _device.Own(output));
        else if (_floatFlash is not null && _floatFlash.CanLaunch(shape, _device.Own(qkv), cache, _device.Own(output)))
            _floatFlash.Launch(shape, _device.Own(qkv), cache, batch, _device.Own(output));
        else
            _attention.Launch(shape, _device.Own(qkv), cache, batch, _device.Own(output));
    }

    /// <inheritdoc/>
    public override void Attention(AttentionShape shape, DeviceBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch, DeviceBuffer output)
    {
        if (qkv.Type == ElementType.F16 && _halfAttention is not null)
            _halfAttention.Launch(shape, _device.Own(qkv), rotary, cache, batch, _device.Own(output));
        else if (_floatDecode is not null && _floatDecode.CanLaunch(shape, _device.Own(qkv), cache, batch, _device.Own(output)))
            _floatDecode.Launch(shape, _device.Own(qkv), rotary, cache, batch, _device.Own(output));
        else if (batch.NumTokens == batch.NumSeqs && !IsBatchInvariant)
            DecodePortably(shape, qkv, rotary, cache, batch, output);
        else
            base.Attention(shape, qkv, rotary, cache, batch, output);
    }

    /// <summary>A decode step of what the kernel for them does not take: a group a head, where tiles of queries would be all but empty.</summary>
    private void DecodePortably(AttentionShape shape, DeviceBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch, DeviceBuffer output)
    {
        RotaryAndWriteKv(shape, qkv, rotary, cache, batch);
        _attention.Launch(shape, _device.Own(qkv), cache, batch, _device.Own(output));
    }

    private bool DecodesFloats(ModelShape model) => _floatDecode is not null && model.Weights == ElementType.F32 && FloatDecodeKernel.Supports(model.Attention);
}
