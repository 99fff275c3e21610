using IlgpuLlm.Kernels;

namespace IlgpuLlm.Tests.Loading;

/// <summary>A weight that keeps its rows as floats, and how often it was filled at random.</summary>
internal sealed class FakeLinearWeight(int outFeatures, int inFeatures, bool hasBias = false)
    : LinearWeight(outFeatures, inFeatures, ElementType.F32, hasBias)
{
    public float[] Values { get; } = new float[outFeatures * inFeatures];

    public float[] Bias { get; } = new float[outFeatures];

    public List<(ulong Seed, float Amplitude)> Fills { get; } = [];

    public override long ByteLength => (Values.Length + Bias.Length) * sizeof(float);

    protected override void LoadRowsCore(int firstRow, int numRows, ElementType sourceType, ReadOnlySpan<byte> source) =>
        ElementConversion.ToFloats(source, sourceType, Values.AsSpan(firstRow * InFeatures, numRows * InFeatures));

    public override void LoadBias(int first, ReadOnlySpan<float> values) => values.CopyTo(Bias.AsSpan(first));

    public override void FillRandom(ulong seed, float amplitude) => Fills.Add((seed, amplitude));

    public override void Dispose()
    {
    }
}
