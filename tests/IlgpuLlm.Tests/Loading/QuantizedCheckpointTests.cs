using System.Runtime.InteropServices;
using IlgpuLlm.Kernels;
using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Loading;

[TestClass]
public sealed class QuantizedCheckpointTests
{
    private const int In = 256, Out = 72;
    private const string FileName = "model.safetensors";

    private static readonly MatrixPart Layer = new("layer", Out);

    [TestMethod]
    [DataRow("awq", 4, 64, false)]
    [DataRow("awq", 4, -1, false)]
    [DataRow("gptq", 4, 32, false)]
    [DataRow("gptq", 4, 128, true)]
    [DataRow("gptq", 4, -1, false)]
    [DataRow("gptq", 8, 64, false)]
    [DataRow("gptq", 8, -1, true)]
    public void LoadMatrix_EveryLayout_IsExact(string method, int bits, int groupSize, bool isV2)
    {
        var layer = new PackedLayer(In, Out, bits, groupSize == -1 ? In : groupSize);
        AssertExact(layer, method, bits, groupSize, isV2);
    }

    [TestMethod]
    [DataRow(4)]
    [DataRow(8)]
    public void LoadMatrix_GptqWithActOrder_IsExact(int bits)
    {
        var layer = new PackedLayer(In, Out, bits, 32, groupOf: Shuffled(3));
        AssertExact(layer, "gptq", bits, 32, isV2: false);
    }

    [TestMethod]
    public void LoadMatrix_ManyRowsAndInputs_IsExact()
    {
        // Several chunks, which begin at any row of a fused weight, and inputs that are no multiple of a block.
        const int Inputs = 8 * 131, Rows = 3000;
        foreach (string method in new[] { "awq", "gptq" })
        {
            var layer = new PackedLayer(Inputs, Rows, 4, Inputs);
            using var temp = Write(layer, method, isV2: false);
            using var checkpoint = Open(temp, method, 4, -1);
            var target = new FakeLinearWeight(Rows + 5, Inputs);
            checkpoint.LoadMatrix([new("layer", Rows)], target, 5);
            AssertSameBits(layer.Values, target.Values.AsSpan(5 * Inputs));
        }
    }

    [TestMethod]
    [DataRow("awq")]
    [DataRow("gptq")]
    public void LoadMatrix_GateAndUp_AreThoseOfTheLayer(string method)
    {
        PackedLayer gate = new(In, Out, 4, 32, 1), up = new(In, Out, 4, 32, 2);
        using var temp = Write(method, ("gate", gate), ("up", up));
        using var checkpoint = Open(temp, method, 4, 32);
        float[] gates = gate.Values, ups = up.Values;
        foreach (bool onGpu in new[] { false, true })
        {
            using Backend backend = onGpu ? GpuBackend.CreateIlgpuCpu() : new CpuBackend(1);
            var format = new QuantizationFormat(4, 32);
            var model = new ModelShape(In, Out, new AttentionShape(2, 1, 32, 0, 1), ElementType.F32, format);
            using var weight = backend.CreateQuantizedGateUp(model, format, hasBias: false, []);
            checkpoint.LoadMatrix([new("gate", Out), new("up", Out)], weight, 0);
            backend.ReserveWorkspace(new WorkspaceShape(model, In, 1, In));
            float[] actual = Columns(backend, Out, (input, output) => backend.LinearSiluMul(weight, input, output, In));
            for (int i = 0; i < actual.Length; i++)
            {
                double g = gates[i], expected = g / (1 + Math.Exp(-g)) * ups[i];
                Assert.AreEqual(expected, actual[i], 1e-5 * Math.Max(1, Math.Abs(expected)), $"{i} on the {(onGpu ? "GPU" : "CPU")}");
            }
        }
    }

    [TestMethod]
    public void LoadMatrix_PartsOfDifferentHeights_LieOneBelowTheOther()
    {
        // Chunks of all parts are loaded together.
        PackedLayer q = new(In, 840, 4, 64, 1), k = new(In, 8, 4, 64, 2), v = new(In, 264, 4, 64, 3);
        using var temp = Write("awq", ("q", q), ("k", k), ("v", v));
        using var checkpoint = Open(temp, "awq", 4, 64);
        MatrixPart[] parts = [new("q", 840), new("k", 8), new("v", 264)];
        float[] expected = [.. q.Values, .. k.Values, .. v.Values];
        foreach (bool onGpu in new[] { false, true })
        {
            using Backend backend = onGpu ? GpuBackend.CreateIlgpuCpu() : new CpuBackend(1);
            using var weight = backend.CreateQuantizedLinear(840 + 8 + 264, In, new(4, 64), hasBias: false, []);
            checkpoint.LoadMatrix(parts, weight, 0);
            AssertSameBits(expected, Columns(backend, weight.OutFeatures, (input, output) => backend.Linear(weight, input, output, In)));
        }
    }

    [TestMethod]
    [DataRow("awq", "expected.weight_in_out_f32", null)]
    [DataRow("gptq", "expected.weight_in_out_f32", null)]
    [DataRow("gptq", "desc_act.expected.weight_in_out_f32", "desc_act.g_idx")]
    public void LoadMatrix_SyntheticLayer_IsReferencesBits(string method, string expectedName, string? groups)
    {
        const int Rows = 64;
        using var file = SafetensorsFile.Open(TestData.Shared("vectors", $"{method}_synthetic.safetensors"));
        int groupSize = In / (int)file.Tensors["layer.scales"].Shape[0];
        var builder = new SafetensorsBuilder();
        foreach (string name in file.Tensors.Keys.Where(name => name.StartsWith("layer.", StringComparison.Ordinal)))
        {
            var tensor = file.Tensors[name == "layer.g_idx" && groups is not null ? groups : name];
            builder.Add(name, tensor.Type.Name, [.. tensor.Shape], file.Read(tensor, 0, (int)tensor.ByteLength).ToArray());
        }
        using var temp = new TempFolder();
        temp.Write(FileName, builder.Build());
        using var checkpoint = Open(temp, method, 4, groupSize);
        float[] transposed = Floats(file, expectedName), expected = new float[transposed.Length];
        for (int o = 0; o < Rows; o++)
            for (int k = 0; k < In; k++)
                expected[o * In + k] = transposed[k * Rows + o];

        var part = new MatrixPart("layer", Rows);
        var widened = new FakeLinearWeight(Rows, In);
        checkpoint.LoadMatrix([part], widened, 0);
        AssertSameBits(expected, widened.Values);
        AssertSameBits(expected, ReadBack(checkpoint, part, Rows));
        AssertSameBits(expected, ReadBack(checkpoint, part, Rows, onGpu: true));
        checkpoint.VerifyAllUsed([]);
    }

    [TestMethod]
    public void FormOf_SameOrders_AreShared()
    {
        int[] groupOf = Shuffled(3);
        using var temp = Write("gptq", ("q", new PackedLayer(In, Out, 4, 32, 1, groupOf)), ("k", new PackedLayer(In, Out, 4, 32, 2, groupOf)));
        using var checkpoint = Open(temp, "gptq", 4, 32);
        var form = checkpoint.FormOf([new("q", Out), new("k", Out)], In);
        Assert.AreEqual(new QuantizationFormat(4, 32), form.Quantization);
        Assert.IsFalse(form.IsDequantized);
        CollectionAssert.AreEqual(Enumerable.Range(0, In).OrderBy(k => groupOf[k]).ToArray(), form.InputOrder);
    }

    [TestMethod]
    public void FormOf_DifferentOrders_IsDequantizedAndExact()
    {
        PackedLayer q = new(In, Out, 4, 32, 1, Shuffled(3)), k = new(In, Out, 4, 32, 2, Shuffled(4));
        using var temp = Write("gptq", ("q", q), ("k", k));
        using var checkpoint = Open(temp, "gptq", 4, 32);
        var form = checkpoint.FormOf([new("q", Out), new("k", Out)], In);
        Assert.IsNull(form.Quantization);
        Assert.IsTrue(form.IsDequantized);
        var fused = new FakeLinearWeight(2 * Out, In);
        checkpoint.LoadMatrix([new("q", Out), new("k", Out)], fused, 0);
        AssertSameBits([.. q.Values, .. k.Values], fused.Values);
    }

    [TestMethod]
    public void FormOf_ModuleWithoutCodes_IsOfElements()
    {
        using var temp = new TempFolder();
        temp.Write(FileName, new SafetensorsBuilder().AddRandom("layer.weight", Out, In).Build());
        using var checkpoint = Open(temp, "awq", 4, 64);
        Assert.AreEqual(MatrixForm.Elements, checkpoint.FormOf([Layer], In));
        checkpoint.LoadMatrix([Layer], new FakeLinearWeight(Out, In), 0);
        checkpoint.VerifyAllUsed([]);
    }

    [TestMethod]
    public void FormOf_MixedPrecisionInOneMatrix_IsRefused()
    {
        using var temp = new TempFolder();
        var builder = new SafetensorsBuilder().AddRandom("k.weight", Out, In);
        new PackedLayer(In, Out, 4, 64).AddAwq(builder, "q");
        temp.Write(FileName, builder.Build());
        using var checkpoint = Open(temp, "awq", 4, 64);
        CheckpointErrors.Expect(() => checkpoint.FormOf([new("q", Out), new("k", Out)], In), temp.Path, "\"q\" is quantized and \"k\" is not");
    }

    [TestMethod]
    [DataRow("awq", "qweight")]
    [DataRow("awq", "qzeros")]
    [DataRow("awq", "scales")]
    [DataRow("gptq", "qweight")]
    [DataRow("gptq", "qzeros")]
    [DataRow("gptq", "scales")]
    [DataRow("gptq", "g_idx")]
    public void FormOf_MissingTensor_NamesIt(string method, string missing)
    {
        using var temp = Damaged(method, (name, dtype) => name == missing ? null : dtype);
        using var checkpoint = Open(temp, method, 4, 64);
        CheckpointErrors.Expect(() => checkpoint.FormOf([Layer], In), temp.Path, $"\"layer.{missing}\": missing, must have shape [");
    }

    [TestMethod]
    [DataRow("awq", "qweight", "F32", "must be I32")]
    [DataRow("awq", "qzeros", "U32", "must be I32")]
    [DataRow("awq", "scales", "BF16", "must be F16")]
    [DataRow("gptq", "qweight", "F32", "must be I32")]
    [DataRow("gptq", "g_idx", "U32", "must be I32")]
    public void FormOf_WrongType_NamesIt(string method, string tensor, string type, string message)
    {
        using var temp = Damaged(method, (name, dtype) => name == tensor ? type : dtype);
        using var checkpoint = Open(temp, method, 4, 64);
        CheckpointErrors.Expect(() => checkpoint.FormOf([Layer], In), Path.Combine(temp.Path, FileName), $"\"layer.{tensor}\": dtype: {type}, {message}");
    }

    [TestMethod]
    public void FormOf_OtherBitsOrGroupsThanTheConfigs_NamesBothShapes()
    {
        string file;
        using (var temp = Write(new PackedLayer(In, Out, 8, 64), "gptq", isV2: false))
        using (var checkpoint = Open(temp, "gptq", 4, 64))
        {
            file = Path.Combine(temp.Path, FileName);
            CheckpointErrors.Expect(() => checkpoint.FormOf([Layer], In), file, "\"layer.qweight\": shape: [64, 72], must be [32, 72]");
        }
        using (var temp = Write(new PackedLayer(In, Out, 4, 32), "awq", isV2: false))
        using (var checkpoint = Open(temp, "awq", 4, 64))
        {
            file = Path.Combine(temp.Path, FileName);
            CheckpointErrors.Expect(() => checkpoint.FormOf([Layer], In), file, "\"layer.qzeros\": shape: [8, 9], must be [4, 9]");
        }
    }

    [TestMethod]
    [DataRow("awq", 256, 60, 64, "60 outputs, awq of 4 bits packs 8 of them in a word")]
    [DataRow("gptq", 252, 64, -1, "252 inputs, gptq of 4 bits packs 8 of them in a word")]
    [DataRow("gptq", 256, 60, 64, "60 outputs, gptq of 4 bits packs 8 of them in a word")]
    [DataRow("awq", 96, 64, 64, "group_size: 64, must divide the 96 inputs of \"layer\"")]
    [DataRow("gptq", 96, 64, 128, "group_size: 128, must divide the 96 inputs of \"layer\"")]
    public void FormOf_ShapeThatTheLayoutCannotHold_NamesTheNumbers(string method, int inFeatures, int outFeatures, int groupSize, string message)
    {
        using var temp = Write(new PackedLayer(In, Out, 4, 64), method, isV2: false);
        using var checkpoint = Open(temp, method, 4, groupSize);
        CheckpointErrors.Expect(() => checkpoint.FormOf([new("layer", outFeatures)], inFeatures), "config.json", message);
    }

    [TestMethod]
    [DataRow(5, 8, "[5]: 8, must be from 0 to 7")]
    [DataRow(0, -1, "[0]: -1, must be from 0 to 7")]
    [DataRow(255, 3, "group 3 has more than 32 inputs")]
    public void FormOf_GroupIndexOutOfRange_IsRefused(int at, int group, string message)
    {
        int[] groupOf = [.. Enumerable.Range(0, In).Select(k => k / 32)];
        var layer = new PackedLayer(In, Out, 4, 32, groupOf: groupOf);
        groupOf[at] = group;
        using var temp = Write(layer, "gptq", isV2: false);
        using var checkpoint = Open(temp, "gptq", 4, 32);
        CheckpointErrors.Expect(() => checkpoint.FormOf([Layer], In), Path.Combine(temp.Path, FileName), "\"layer.g_idx\"", message);
    }

    [TestMethod]
    [DataRow(0f)]
    [DataRow(0.5f)]
    public void LoadMatrix_BiasThatTheModelLacks_MustBeZero(float value)
    {
        var builder = new SafetensorsBuilder().Add("layer.bias", "F16", [Out], [.. Enumerable.Repeat((Half)0, Out - 1), (Half)value]);
        new PackedLayer(In, Out, 4, 64).AddGptq(builder, "layer");
        using var temp = new TempFolder();
        temp.Write(FileName, builder.Build());
        using var checkpoint = Open(temp, "gptq", 4, 64);
        void Load() => checkpoint.LoadMatrix([Layer], new FakeLinearWeight(Out, In), 0);
        if (value != 0)
        {
            CheckpointErrors.Expect(Load, temp.Path, "\"layer.bias\": [71] is not 0");
            return;
        }
        Load();
        checkpoint.VerifyAllUsed([]);
    }

    [TestMethod]
    [DataRow(4)]
    [DataRow(8)]
    public void LoadMatrix_FloatsIntoQuantized_AreRoundedToNearest(int bits)
    {
        using var temp = new TempFolder();
        temp.Write(FileName, new SafetensorsBuilder().AddRandom("layer.weight", Out, In).Build());
        var format = new QuantizationFormat(bits, 64);
        using var checkpoint = Checkpoint.Open(temp.Path, quantization: new ModelQuantization(format, null, "config.json"));
        Assert.AreEqual(format, checkpoint.FormOf([Layer], In).Quantization);
        var exact = new FakeLinearWeight(Out, In);
        checkpoint.LoadRows("layer.weight", exact, 0, Out);
        float[] rounded = ReadBack(checkpoint, Layer, Out);
        double largestStep = 1.0 / ((1 << bits) - 1); // values lie in [-0.5, 0.5]
        double worst = exact.Values.Zip(rounded, (e, a) => Math.Abs((double)e - a)).Max();
        // Half a step, and at a group's ends up to 2^-11 of its range more, by which the scale is rounded to a half.
        Assert.IsTrue(worst > 0 && worst <= 0.5 * largestStep + 1.0 / 2048, $"{bits} bits: {worst:E2} of {largestStep:E2}");
    }

    [TestMethod]
    public void LoadMatrix_InfinityIntoQuantized_NamesItsPlace()
    {
        var values = new float[Out * In];
        values[3 * In + 7] = float.PositiveInfinity;
        using var temp = new TempFolder();
        temp.Write(FileName, new SafetensorsBuilder().Add("layer.weight", "F32", [Out, In], values).Build());
        using var checkpoint = Checkpoint.Open(temp.Path, quantization: new ModelQuantization(new QuantizationFormat(4, 64), null, "config.json"));
        CheckpointErrors.Expect(() => ReadBack(checkpoint, Layer, Out), Path.Combine(temp.Path, FileName), "\"layer.weight\": [3, 7]: ");
    }

    /// <summary>Loads a quantized weight and multiplies it by the unit vectors: [rows, inFeatures].</summary>
    private static float[] ReadBack(Checkpoint checkpoint, MatrixPart part, int rows, bool onGpu = false)
    {
        using Backend backend = onGpu ? GpuBackend.CreateIlgpuCpu() : new CpuBackend(1);
        var form = checkpoint.FormOf([part], In);
        using var weight = backend.CreateQuantizedLinear(rows, In, form.Quantization!, hasBias: false, form.InputOrder);
        checkpoint.LoadMatrix([part], weight, 0);
        return Columns(backend, rows, (input, output) => backend.Linear(weight, input, output, In));
    }

    /// <summary>What an operation makes of the unit vectors: [rows, inFeatures].</summary>
    private static float[] Columns(Backend backend, int rows, Action<DeviceBuffer, DeviceBuffer> multiply)
    {
        var unit = new float[In * In];
        for (int k = 0; k < In; k++)
            unit[k * In + k] = 1;
        using var input = backend.Allocate(ElementType.F32, unit.Length);
        using var output = backend.Allocate(ElementType.F32, In * rows);
        backend.Upload(unit, input);
        multiply(input, output);
        float[] products = new float[In * rows], values = new float[In * rows];
        backend.Download(output, products);
        for (int k = 0; k < In; k++)
            for (int r = 0; r < rows; r++)
                values[r * In + k] = products[k * rows + r];
        return values;
    }

    private static void AssertExact(PackedLayer layer, string method, int bits, int groupSize, bool isV2)
    {
        using var temp = Write(layer, method, isV2);
        using var checkpoint = Open(temp, method, bits, groupSize, isV2);
        var widened = new FakeLinearWeight(Out, In);
        checkpoint.LoadMatrix([Layer], widened, 0);
        AssertSameBits(layer.Values, widened.Values);
        AssertSameBits(layer.Values, ReadBack(checkpoint, Layer, Out));
        AssertSameBits(layer.Values, ReadBack(checkpoint, Layer, Out, onGpu: true));
        checkpoint.VerifyAllUsed([]);
    }

    private static void AssertSameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.AreEqual(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (expected[i] != actual[i]) // 0 and -0 are the same weight
                Assert.Fail($"element {i} is {actual[i]:R}, expected exactly {expected[i]:R}");
    }

    /// <summary>A division into groups of 32 in no order.</summary>
    private static int[] Shuffled(int seed)
    {
        int[] groupOf = [.. Enumerable.Range(0, In).Select(k => k / 32)];
        new Random(seed).Shuffle(groupOf);
        return groupOf;
    }

    private static float[] Floats(SafetensorsFile file, string name)
    {
        var tensor = file.Tensors[name];
        return MemoryMarshal.Cast<byte, float>(file.Read(tensor, 0, (int)tensor.ByteLength)).ToArray();
    }

    private static Checkpoint Open(TempFolder temp, string method, int bits, int groupSize, bool isV2 = false) => Checkpoint.Open(
        temp.Path, quantization: PackedLayer.Describe(method == "awq" ? QuantizationMethod.Awq : QuantizationMethod.Gptq, bits, groupSize, isV2));

    private static TempFolder Write(PackedLayer layer, string method, bool isV2) => Write(method, isV2, ("layer", layer));

    private static TempFolder Write(string method, params (string Name, PackedLayer Layer)[] layers) => Write(method, isV2: false, layers);

    private static TempFolder Write(string method, bool isV2, params (string Name, PackedLayer Layer)[] layers)
    {
        var builder = new SafetensorsBuilder();
        foreach (var (name, layer) in layers)
        {
            if (method == "awq")
                layer.AddAwq(builder, name);
            else
                layer.AddGptq(builder, name, isV2);
        }
        var temp = new TempFolder();
        temp.Write(FileName, builder.Build());
        return temp;
    }

    /// <summary>A layer some of whose tensors have another type, or are left out where <paramref name="change"/> returns null.</summary>
    private static TempFolder Damaged(string method, Func<string, string, string?> change)
    {
        var temp = Write(new PackedLayer(In, Out, 4, 64), method, isV2: false);
        var builder = new SafetensorsBuilder();
        using (var file = SafetensorsFile.Open(Path.Combine(temp.Path, FileName)))
            foreach (var tensor in file.Tensors.Values)
                if (change(tensor.Name["layer.".Length..], tensor.Type.Name) is { } type)
                    builder.Add(tensor.Name, type, [.. tensor.Shape], file.Read(tensor, 0, (int)tensor.ByteLength).ToArray());
        temp.Write(FileName, builder.Build());
        return temp;
    }
}
