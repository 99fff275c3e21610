using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Kernels.Tests.Reference;

namespace IlgpuLlm.Kernels.Tests.Gpu;

/// <summary>
/// A batch-invariant backend: the same bits for a row alone and among any number of others, for a token that is decoded and one in a chunk. The portable
/// kernels on every device; the fast ones on CUDA, and where there is none some of them with their instructions emulated.
/// </summary>
[TestClass]
[DoNotParallelize] // the emulation of instructions has one memory
public sealed class BatchInvariantTests
{
    private const int MaxRows = 530;

    private static readonly int[] RowCounts = [1, 2, 7, 8, 9, 16, 17, 33, 64, 65, 127, 128, 129, 200, 256, 257, 300, 385, 513];

    [TestMethod]
    [DataRow(ElementType.F32, 63)]
    [DataRow(ElementType.F32, 172)]
    [DataRow(ElementType.F16, 63)]
    [DataRow(ElementType.F16, 304)]
    public void Linear_PortableKernels_SameBitsInEveryBatch(ElementType storage, int inFeatures)
    {
        const int OutFeatures = 18, MostRows = 17;
        using GpuBackend backend = TestDevice.Create(batchInvariant: true);
        Assert.IsTrue(backend.IsBatchInvariant);
        var model = new ModelShape(inFeatures, OutFeatures / 2, new AttentionShape(1, 1, 6, 0, 1), storage); // heads that no fast kernel takes: floats throughout
        backend.ReserveWorkspace(new WorkspaceShape(model, MostRows, MostRows, 1));
        float[] x = TestTensors.Random(3, MostRows * inFeatures), w = TestTensors.Random(1, OutFeatures * inFeatures);
        using LinearWeight weight = backend.CreateLinear(w, TestTensors.Random(2, OutFeatures), OutFeatures, inFeatures, storage);
        using LinearWeight gateUp = backend.CreateGateUp(model, hasBias: false);
        gateUp.LoadRows(0, OutFeatures, ElementType.F32, TestTensors.Encode(ElementType.F32, w));
        using DeviceBuffer input = backend.Upload(x), product = backend.Allocate(ElementType.F32, MostRows * OutFeatures);
        using DeviceBuffer activations = backend.Allocate(ElementType.F32, MostRows * OutFeatures / 2);
        float[]? products = null, mlp = null;
        foreach (int rows in new[] { MostRows, 1, 2, 4, 5, 8, 9 })
        {
            backend.Linear(weight, input, product, rows);
            backend.LinearAdd(weight, input, product, rows);
            backend.LinearSiluMul(gateUp, input, activations, rows);
            products ??= backend.Download(product);
            mlp ??= backend.Download(activations);
            TestTensors.AssertSameBits(products.AsSpan(0, rows * OutFeatures), backend.Download(product).AsSpan(0, rows * OutFeatures), $"{rows} rows");
            TestTensors.AssertSameBits(mlp.AsSpan(0, rows * OutFeatures / 2), backend.Download(activations).AsSpan(0, rows * OutFeatures / 2), $"MLP, {rows} rows");
        }
    }

    [TestMethod]
    [DataRow(64, 64)]
    [DataRow(200, 128)]
    [DataRow(1000, 704)]
    [DataRow(272, 2048)] // k is shared out among groups
    [DataRow(4096, 4096)]
    public void Linear_Halves_SameBitsInEveryBatch(int outFeatures, int inFeatures)
    {
        using GpuBackend backend = Cuda();
        using LinearWeight weight = backend.CreateLinear(
            TestTensors.Random(1, outFeatures * inFeatures), TestTensors.Random(2, outFeatures), outFeatures, inFeatures, ElementType.F16);
        CheckLinear(backend, weight, ElementType.F16, ElementType.F16);
        CheckLinear(backend, weight, ElementType.F16, ElementType.F32);
        CheckAdd(backend, weight, ElementType.F16);
    }

    [TestMethod]
    [DataRow(4, 64, false)]
    [DataRow(4, 128, true)]
    [DataRow(8, 64, true)]
    public void Linear_Quantized_SameBitsInEveryBatch(int bits, int groupSize, bool isReordered)
    {
        const int OutFeatures = 200, InFeatures = 640;
        using GpuBackend backend = Cuda();
        var data = new QuantizedData(bits, groupSize, OutFeatures, InFeatures, isReordered, maxRows: 1);
        var model = new ModelShape(InFeatures, InFeatures, new AttentionShape(10, 10, 64, 0, 1), ElementType.F16, data.Format);
        backend.ReserveWorkspace(new WorkspaceShape(model, MaxRows, MaxRows, 1));
        using LinearWeight weight = data.Load(backend);
        CheckLinear(backend, weight, ElementType.F16, ElementType.F16);
        CheckAdd(backend, weight, ElementType.F16);
    }

    [TestMethod]
    [DataRow(31, 60, false)]
    [DataRow(300, 700, false)]
    [DataRow(200, 352, false)]
    [DataRow(200, 352, true)]
    [DataRow(1040, 1088, true)]
    public void Linear_Floats_SameBitsInEveryBatch(int outFeatures, int inFeatures, bool allowTf32)
    {
        using GpuBackend backend = Cuda(allowTf32);
        using LinearWeight weight = backend.CreateLinear(
            TestTensors.Random(1, outFeatures * inFeatures), TestTensors.Random(2, outFeatures), outFeatures, inFeatures, ElementType.F32);
        CheckLinear(backend, weight, ElementType.F32, ElementType.F32);
        CheckAdd(backend, weight, ElementType.F32);
    }

    // On devices from sm_90 on other kernels come first, so these are launched directly.
    [TestMethod]
    [DataRow(ElementType.F16, 200, 128)]
    [DataRow(ElementType.F16, 1000, 704)]
    [DataRow(ElementType.F32, 200, 352)]
    public void Linear_MmaSync_SameBitsInEveryBatch(ElementType type, int outFeatures, int inFeatures)
    {
        using GpuBackend backend = Cuda();
        using var weight = (GpuLinearWeight)backend.CreateLinear(
            TestTensors.Random(1, outFeatures * inFeatures), TestTensors.Random(2, outFeatures), outFeatures, inFeatures, type);
        if (weight.Matrix.Device is not CudaGpuDevice { HasTensorCores: true } device)
        {
            Assert.Inconclusive("skipped: needs a device of sm_80 or later");
            return;
        }
        var kernel = new MmaLinearKernel(device, isTf32: type == ElementType.F32);
        CheckRows(backend, type, inFeatures, ElementType.F32, outFeatures,
            (x, y, rows) => kernel.Launch(weight, (GpuBuffer)x, (GpuBuffer)y, rows, LinearEpilogue.Floats));
    }

    [TestMethod]
    [DataRow(ElementType.F16, 704, 320, false)]
    [DataRow(ElementType.F16, 192, 2048, false)]
    [DataRow(ElementType.F32, 344, 700, false)]
    [DataRow(ElementType.F32, 344, 704, true)]
    public void LinearSiluMul_Gates_SameBitsInEveryBatch(ElementType type, int intermediate, int hidden, bool allowTf32)
    {
        using GpuBackend backend = Cuda(allowTf32);
        var model = new ModelShape(hidden, intermediate, new AttentionShape(2, 1, 64, 0, 1), type);
        Assert.AreEqual(type, backend.ActivationType(model));
        backend.ReserveWorkspace(new WorkspaceShape(model, MaxRows, MaxRows, 1));
        using LinearWeight weight = backend.CreateGateUp(model, hasBias: true);
        weight.LoadRows(0, 2 * intermediate, ElementType.F32, TestTensors.Encode(ElementType.F32, TestTensors.Random(1, 2 * intermediate * hidden, 0.1f)));
        weight.LoadBias(0, TestTensors.Random(2, 2 * intermediate));
        CheckRows(backend, type, hidden, type, intermediate, (x, y, rows) => backend.LinearSiluMul(weight, x, y, rows));
    }

    [TestMethod]
    [DataRow(4, 2, 64, 0, ElementType.F16)]
    [DataRow(2, 1, 128, 70, ElementType.F16)]
    [DataRow(2, 2, 80, 0, ElementType.F16)]
    [DataRow(512, 512, 64, 0, ElementType.F16)] // as many heads as take a warp each when they are decoded
    [DataRow(4, 2, 128, 0, ElementType.F32)]
    [DataRow(2, 2, 80, 70, ElementType.F32)]
    [DataRow(2, 1, 24, 0, ElementType.F32)] // heads that only the portable kernel takes
    public void Attention_DecodedOrInChunks_SameBits(int numHeads, int numKvHeads, int headDim, int window, ElementType type)
    {
        const int Length = 150;
        using GpuBackend backend = Cuda();
        AttentionShape shape = AttentionBatch.Shape(numHeads, numKvHeads, headDim, window);
        backend.ReserveWorkspace(new WorkspaceShape(new ModelShape(headDim * numHeads, 64, shape, type), Length, 3, Length));
        var identity = new float[Length * headDim];
        for (int position = 0; position < Length; position++)
            identity.AsSpan(position * headDim, headDim / 2).Fill(1);
        using DeviceBuffer angles = backend.Upload(identity);
        var rotary = new RotaryTable(angles, Length, headDim);
        CheckAttention(backend, (s, qkv, cache, batch, output) => backend.Attention(s, qkv, rotary, cache, batch, output), shape, Length, [0, 1, 63, 64, 127, 128, 149], type);
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    public void Attention_EmulatedFlash_SameBitsDecodedOrInAChunk()
    {
        SkipOnCuda();
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu(lanes: 128);
        AttentionShape shape = AttentionBatch.Shape(1, 1, 64, 0);
        CheckAttention(backend, new FlashAttentionKernel(TestDevice.DeviceOf(backend)).Launch, shape, 70, [0, 63, 69]);
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    public void Attention_EmulatedFloatFlash_SameBitsDecodedOrInAChunk()
    {
        SkipOnCuda();
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu(lanes: 128);
        AttentionShape shape = AttentionBatch.Shape(2, 1, 64, 0);
        CheckAttention(backend, new FloatFlashKernel(TestDevice.DeviceOf(backend)).Launch, shape, 70, [0, 63, 69], ElementType.F32);
    }

    [TestMethod]
    [DoNotParallelize] // the emulation of instructions has one memory
    public void Linear_EmulatedFloats_SameBitsInEveryBatch()
    {
        SkipOnCuda();
        const int OutFeatures = 7, InFeatures = 132, MostRows = 257;
        using GpuBackend backend = GpuBackend.CreateIlgpuCpu(lanes: 512);
        using var weight = (GpuLinearWeight)backend.CreateLinear(
            TestTensors.Random(1, OutFeatures * InFeatures), TestTensors.Random(2, OutFeatures), OutFeatures, InFeatures, ElementType.F32);
        using DeviceBuffer input = backend.Upload(TestTensors.Random(3, MostRows * InFeatures)), output = backend.Allocate(ElementType.F32, MostRows * OutFeatures);
        var kernel = new SimtLinearKernel(weight.Matrix.Device, isBatchInvariant: true);
        float[] all = Run(MostRows);
        foreach (int rows in new[] { 1, 10, 20, 33 })
            TestTensors.AssertSameBits(all.AsSpan(0, rows * OutFeatures), Run(rows).AsSpan(0, rows * OutFeatures), $"{rows} rows");

        float[] Run(int rows)
        {
            kernel.Launch(weight, (GpuBuffer)input, (GpuBuffer)output, rows, LinearEpilogue.Floats);
            return backend.Download(output);
        }
    }

    private static GpuBackend Cuda(bool allowTf32 = false)
    {
        GpuBackend backend = TestDevice.Create(allowTf32, batchInvariant: true);
        if (!backend.IsHostMemory)
            return backend;
        backend.Dispose();
        Assert.Inconclusive("skipped: needs a CUDA device");
        return backend;
    }

    private static void SkipOnCuda()
    {
        if (TestDevice.IsCuda)
            Assert.Inconclusive("skipped: the other tests run on the device");
    }

    private static void CheckLinear(GpuBackend backend, LinearWeight weight, ElementType inputType, ElementType outputType) =>
        CheckRows(backend, inputType, weight.InFeatures, outputType, weight.OutFeatures, (x, y, rows) => backend.Linear(weight, x, y, rows));

    private static void CheckAdd(GpuBackend backend, LinearWeight weight, ElementType inputType)
    {
        float[] residual = TestTensors.Random(9, MaxRows * weight.OutFeatures);
        CheckRows(backend, inputType, weight.InFeatures, ElementType.F32, weight.OutFeatures, (x, y, rows) =>
        {
            backend.Upload(residual, y);
            backend.LinearAdd(weight, x, y, rows);
        });
    }

    /// <summary>The first rows of a large batch, alone: the same bits.</summary>
    private static void CheckRows(
        GpuBackend backend, ElementType inputType, int inFeatures, ElementType outputType, int width, Action<DeviceBuffer, DeviceBuffer, int> run)
    {
        float[] x = TestTensors.Random(3, MaxRows * inFeatures);
        using DeviceBuffer input = backend.Allocate(inputType, x.Length), output = backend.Allocate(outputType, (long)MaxRows * width);
        if (inputType == ElementType.F16)
            backend.Upload([.. x.Select(v => (Half)v)], input);
        else
            backend.Upload(x, input);
        float[] all = Run(MaxRows);
        Assert.IsGreaterThan(MaxRows * 9 / 10, all.Chunk(width).Select(row => row.Sum(v => (double)v)).Distinct().Count(), "rows differ");
        foreach (int rows in RowCounts)
            TestTensors.AssertSameBits(all.AsSpan(0, rows * width), Run(rows), $"{inputType} to {outputType}, {rows} rows");

        float[] Run(int rows)
        {
            run(input, output, rows);
            if (outputType == ElementType.F32)
                return backend.Download(output)[..(rows * width)];
            var halves = new Half[output.Length];
            backend.Download(output, halves);
            return [.. halves.Take(rows * width).Select(h => (float)h)];
        }
    }

    /// <summary>A sequence as one chunk, and some of its tokens one at a time: alone, and in a batch of which every sequence has one token.</summary>
    private static void CheckAttention(
        GpuBackend backend, FlashLaunch launch, AttentionShape shape, int length, int[] positions, ElementType type = ElementType.F16)
    {
        float[] rows = AttentionBatch.Rows(type, shape, 1, length);
        float[] whole = Run(backend, launch, shape, [new(rows, 0, length)], type);
        foreach (int position in positions)
        {
            float[] expected = whole[(position * shape.QueryWidth)..((position + 1) * shape.QueryWidth)];
            TestTensors.AssertSameBits(expected, Run(backend, launch, shape, [new(rows, position, 1)], type), $"token {position} alone");
            var other = new AttentionChunk(AttentionBatch.Rows(type, shape, 2, 34), 33, 1);
            float[] both = Run(backend, launch, shape, [other, new(rows, position, 1)], type);
            TestTensors.AssertSameBits(expected, both.AsSpan(shape.QueryWidth), $"token {position} beside another sequence");
        }
    }

    private static float[] Run(GpuBackend backend, FlashLaunch launch, AttentionShape shape, AttentionChunk[] chunks, ElementType type)
    {
        using var batch = new AttentionBatch(backend, type, shape, blockSize: 16, chunks, newKeysInCache: true);
        return batch.Run(launch);
    }
}
