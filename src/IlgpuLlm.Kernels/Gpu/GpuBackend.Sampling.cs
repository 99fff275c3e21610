using System.Runtime.InteropServices;

namespace IlgpuLlm.Kernels.Gpu;

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public override bool SupportsSampling => true;

    /// <inheritdoc/>
    public override void Sample(DeviceBuffer logits, SamplingBatch batch, DeviceBuffer sampled) =>
        _sample.Launch(_device.Own(logits), batch, _device.Own(sampled));

    /// <inheritdoc/>
    public override void CountTokens(DeviceBuffer counts, int vocabSize, int row, DeviceBuffer tokenIds, int numPromptTokens, int numTokens) =>
        _sample.LaunchCount(_device.Own(counts), vocabSize, row, _device.Own(tokenIds), numPromptTokens, numTokens);

    /// <inheritdoc/>
    public override void ResolveTokens(DeviceBuffer tokenIds, DeviceBuffer sampled, int numTokens) =>
        _sample.LaunchResolve(_device.Own(tokenIds), _device.Own(sampled), numTokens);

    /// <inheritdoc/>
    public override void Download(DeviceBuffer source, Span<int> destination)
    {
        ShapeChecks.Transfer(source, ElementType.I32, destination.Length, nameof(source));
        if (!destination.IsEmpty)
            _device.CopyToHost(_device.Own(source).Address, MemoryMarshal.AsBytes(destination));
    }

    /// <inheritdoc/>
    public override UploadBuffer CreateUpload(int length) => _device is CudaGpuDevice cuda ? new PinnedUpload(cuda, length) : base.CreateUpload(length);

    /// <inheritdoc/>
    public override DownloadBuffer CreateDownload(int length) => _device is CudaGpuDevice cuda ? new PinnedDownload(cuda, length) : base.CreateDownload(length);
}
