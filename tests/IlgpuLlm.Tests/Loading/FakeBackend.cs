using IlgpuLlm.Kernels;

namespace IlgpuLlm.Tests.Loading;

/// <summary>A backend that can only upload floats and count memory, which is all that loading and planning ask of it.</summary>
internal sealed class FakeBackend : Backend
{
    public override string Device => "fake";

    public override string Description => "fake";

    public override bool IsHostMemory => true;

    public override DeviceBuffer Allocate(ElementType type, long length) => new Buffer(new float[length]);

    public override void Upload(ReadOnlySpan<float> source, DeviceBuffer destination) => source.CopyTo(((Buffer)destination).Values);

    public override void Download(DeviceBuffer source, Span<float> destination) => ((Buffer)source).Values.CopyTo(destination);

    public long MemoryBytes { get; init; }

    public bool WidensCaches { get; init; }

    public override bool WidensCache(ModelShape model) => WidensCaches;

    public override DeviceMemory QueryMemory() => new(MemoryBytes, MemoryBytes);

    public override LinearWeight CreateLinear(int outFeatures, int inFeatures, ElementType storage, bool hasBias) => throw new NotSupportedException();

    public override long LinearByteLength(int outFeatures, int inFeatures, ElementType storage, bool hasBias) => sizeof(float) * (long)outFeatures * inFeatures;

    public override long WorkspaceByteLength(WorkspaceShape shape) => 0;

    public override void Upload(ReadOnlySpan<Half> source, DeviceBuffer destination) => throw new NotSupportedException();

    public override void Download(DeviceBuffer source, Span<Half> destination) => throw new NotSupportedException();

    public override void Upload(ReadOnlySpan<int> source, DeviceBuffer destination) => throw new NotSupportedException();

    public override void Upload(ReadOnlySpan<byte> source, DeviceBuffer destination) => throw new NotSupportedException();

    public override void Download(DeviceBuffer source, Span<byte> destination) => throw new NotSupportedException();

    public override void Copy(DeviceBuffer source, DeviceBuffer destination) => throw new NotSupportedException();

    public override void Synchronize() => throw new NotSupportedException();

    public override void EmbeddingLookup(LinearWeight table, DeviceBuffer tokenIds, DeviceBuffer hidden, int numTokens) => throw new NotSupportedException();

    public override void RmsNorm(DeviceBuffer x, DeviceBuffer weight, DeviceBuffer output, int numRows, float epsilon) => throw new NotSupportedException();

    public override void Linear(LinearWeight weight, DeviceBuffer input, DeviceBuffer output, int numRows) => throw new NotSupportedException();

    public override void LinearAdd(LinearWeight weight, DeviceBuffer input, DeviceBuffer residual, int numRows) => throw new NotSupportedException();

    public override void RotaryAndWriteKv(AttentionShape shape, DeviceBuffer qkv, RotaryTable rotary, KvCacheLayer cache, BatchMetadata batch) =>
        throw new NotSupportedException();

    public override void PagedAttention(AttentionShape shape, DeviceBuffer qkv, KvCacheLayer cache, BatchMetadata batch, DeviceBuffer output) =>
        throw new NotSupportedException();

    public override void SiluMul(DeviceBuffer gateUp, DeviceBuffer output, int numRows, int width) => throw new NotSupportedException();

    public override void GatherRows(DeviceBuffer source, DeviceBuffer indices, DeviceBuffer output, int numRows, int width) => throw new NotSupportedException();

    private sealed class Buffer(float[] values) : DeviceBuffer(ElementType.F32, values.Length)
    {
        public float[] Values => values;

        public override void Dispose()
        {
        }

        protected override DeviceBuffer SliceCore(long offset, long length) => throw new NotSupportedException();
    }
}
