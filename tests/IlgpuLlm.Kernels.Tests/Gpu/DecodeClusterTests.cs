using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// Decode attention whose splits meet in a cluster gives the bits of the one whose splits meet in global memory, which is tested against the reference.
/// </summary>
[TestClass]
public sealed class DecodeClusterTests
{
    private const int GraphLaunches = 8;

    // Of one sequence and of several; 0 is a row that only fills up a batch.
    private static readonly int[][] Batches =
    [
        [1], [15], [16], [17], [127], [128], [129], [255], [256], [272], [385], [513], [641], [769], [1000], [1025], [2048], [0],
        [272, 0, 129], [1000, 17], [16, 2048, 255], [0, 0, 130],
    ];

    [TestMethod]
    [DataRow(32, 32, 128, 0, 1000)]
    [DataRow(32, 32, 64, 0, 1025)]
    [DataRow(32, 8, 128, 0, 2048)]
    [DataRow(32, 4, 128, 0, 2048)]
    [DataRow(16, 1, 128, 0, 2048)]
    [DataRow(10, 1, 64, 0, 2048)]
    [DataRow(14, 2, 80, 0, 2048)]
    [DataRow(8, 2, 96, 300, 2048)]
    [DataRow(4, 2, 128, 1, 2048)]
    public void Launch_Clusters_SameBitsAsThroughGlobalMemory(int numHeads, int numKvHeads, int headDim, int window, int longest)
    {
        using var cuda = TestDevice.RentCuda(needsHopper: true);
        AttentionShape shape = AttentionBatch.Shape(numHeads, numKvHeads, headDim, window);
        foreach (int[] lengths in Batches.Where(b => b.Max() <= longest))
        {
            foreach (var cache in new[] { ElementType.F16, ElementType.U8 })
            {
                float[] Run(DecodeScenarios.Factory factory) =>
                    new DecodeScenarios(cuda.Backend, ElementType.F16, shape, 16, lengths, cache: cache).Run(factory);
                string what = $"{cache}, lengths {string.Join(", ", lengths)}";
                float[] expected = Run(Create(cuda.Device, cache, usesClusters: false));
                if (cache == ElementType.F16)
                    TestTensors.AssertSameBits(expected, Run(Create(cuda.Device, cache, usesClusters: true)), what);
                TestTensors.AssertSameBits(expected, Run(Create(cuda.Device, cache, usesClusters: true, isGraph: true)), $"{what}, in a graph");
            }
        }
    }

    /// <summary>The arithmetic of a cluster's first group, and of a warp in which a lane has a split.</summary>
    [TestMethod]
    public void Weigh_Splits_SameBitsAsInAWarp()
    {
        for (int seed = 0; seed < 100; seed++)
        {
            int numSplits = 2 + seed % 7;
            float[] tops = TestTensors.Random(seed, 8, 20), totals = [.. TestTensors.Random(seed + 1000, 8, 50).Select(t => 60 + t)];
            tops.AsSpan(numSplits).Fill(float.NegativeInfinity);
            var weights = DecodeMerge<F16Element, ushort>.Weigh(Eight(tops), Eight(totals));
            float[] lanes = new float[32], expected = new float[8];
            for (int lane = 0; lane < 8; lane++)
            {
                expected[lane] = MathF.Pow(2f, tops[lane] - tops.Max());
                lanes[lane] = expected[lane] * (lane < numSplits ? totals[lane] : 0f);
            }
            for (int mask = 16; mask > 0; mask /= 2)
                lanes = [.. lanes.Select((value, lane) => value + lanes[lane ^ mask])];
            Float4 low = weights.Low, high = weights.High;
            TestTensors.AssertSameBits(expected, [low.X, low.Y, low.Z, low.W, high.X, high.Y, high.Z, high.W], "weights");
            TestTensors.AssertSameBits([.. lanes.Select(sum => 1f / sum)], [.. Enumerable.Repeat(weights.Inverse, 32)], "1 / sum");
        }
    }

    private static Float8 Eight(float[] values) => new()
    {
        Low = new() { X = values[0], Y = values[1], Z = values[2], W = values[3] },
        High = new() { X = values[4], Y = values[5], Z = values[6], W = values[7] },
    };

    /// <summary>A kernel, launched once, or several times in a graph that starts each before the one in front of it has ended.</summary>
    private static DecodeScenarios.Factory Create(GpuDevice device, ElementType cache, bool usesClusters, bool isGraph = false) => (maxSeqs, shape) =>
    {
        var kernel = new DecodeAttentionKernel(device) { UsesClusters = usesClusters };
        kernel.Reserve(maxSeqs, shape, cache);
        if (!isGraph)
            return (kernel.Launch, kernel);
        device.WaitForKernels(); // not while it is recorded
        void Launch(AttentionShape ofShape, GpuBuffer qkv, RotaryTable rotary, KvCacheLayer layer, BatchMetadata batch, GpuBuffer output)
        {
            using var graph = new CudaGraph((CudaStream)device.Stream, launchesEarly: true, () =>
            {
                for (int i = 0; i < GraphLaunches; i++)
                    kernel.Launch(ofShape, qkv, rotary, layer, batch, output);
            });
            graph.Launch();
            device.Stream.Synchronize();
        }
        return (Launch, kernel);
    };
}
