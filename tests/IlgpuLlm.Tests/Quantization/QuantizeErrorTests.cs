using System.Text.Json.Nodes;
using IlgpuLlm.Loading;
using IlgpuLlm.Quantization;
using IlgpuLlm.Tests.Engine;
using IlgpuLlm.Tests.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Quantization;

/// <summary>Whatever cannot be quantized is refused with the value and the limit, and leaves nothing behind.</summary>
[TestClass]
public sealed class QuantizeErrorTests
{
    [TestMethod]
    [DataRow("gptq", 4, 128, "method: gptq is not supported; supported: awq, rtn")]
    [DataRow("awq", 3, 128, "bits: 3 is not supported; supported: 4, 8")]
    [DataRow("awq", 8, 128, "method: awq cannot have 8 bits: AWQ's layout holds 4; with 8, rounding to nearest loses next to nothing: rtn")]
    [DataRow("rtn", 4, 100, "group-size: 100 is not supported; supported: 32, 64, 128, -1 (a row)")]
    public void Run_BadOption_NamesTheLimit(string method, int bits, int groupSize, string message) => Assert.AreEqual(message,
        Refused<InvalidOptionException>(Options("llama-gqa") with { Method = method, Bits = bits, GroupSize = groupSize }));

    [TestMethod]
    public void Run_BadCalibrationSize_NamesTheLimit()
    {
        StringAssert.Contains(Refused<InvalidOptionException>(Options("llama-gqa") with { CalibrationSequences = 0 }), "calibration-sequences: 0 must be in [1, 65536]");
        StringAssert.Contains(Refused<InvalidOptionException>(Options("llama-gqa") with { CalibrationLength = 4096 }), "calibration-len: 4096 must be in [2, 2048]");
    }

    [TestMethod]
    public void Run_QuantizedModel_SaysSo() =>
        StringAssert.Contains(Refused<QuantizationException>(Options("llama-awq-g32")), "is quantized already (awq of 4 bits), must be a checkpoint of floats");

    [TestMethod]
    public void Run_GroupDoesNotDivide_NamesTheNumbers() =>
        StringAssert.Contains(Refused<QuantizationException>(Options("llama-gqa") with { GroupSize = 128 }), "hidden_size: 64, must be a multiple of 128, the group size");

    [TestMethod]
    public void Run_HeadsThatWordsDoNotDivide_NamesTheNumbers()
    {
        // One key and value head of 4 elements: words of AWQ hold 8 outputs.
        using var model = new TempModel("llama-gqa", ("num_key_value_heads", 1), ("num_attention_heads", 16), ("head_dim", 4));
        StringAssert.Contains(Refused<QuantizationException>(Options("llama-gqa") with { Model = model.Folder }),
            "the width of all key and value heads: 4, must be a multiple of 8, the codes of a word");
    }

    [TestMethod]
    public void Run_OutputInUse_IsLeftAlone()
    {
        using var folder = new TempFolder();
        string file = folder.Write("notes.txt", "mine");
        StringAssert.Contains(Message<QuantizationException>(Options("llama-gqa") with { Output = folder.Path }), "holds notes.txt, must be an empty folder or not exist");
        StringAssert.Contains(Message<QuantizationException>(Options("llama-gqa") with { Output = file }), "is a file, must be an empty folder or not exist");
        Assert.AreEqual("mine", File.ReadAllText(file));
        Assert.AreEqual(1, Directory.GetFileSystemEntries(folder.Path).Length);
    }

    [TestMethod]
    public void Run_OutputCannotBeMade_SaysWhy()
    {
        using var folder = new TempFolder();
        string file = folder.Write("file", "");
        StringAssert.Contains(Message<QuantizationException>(Options("llama-gqa") with { Output = Path.Combine(file, "out") }), "cannot be written: ");
    }

    [TestMethod]
    public void Run_ShortCalibration_NamesTheNumbers()
    {
        var options = new QuantizeOptions { Output = "", Device = "cpu", CalibrationText = "Once upon a time there was a king." };
        StringAssert.Contains(Refused<QuantizationException>(options), "calibration: the text has 9 tokens, at least 512 are needed");
    }

    [TestMethod]
    public void Run_CalibrationTextWithoutTokenizer_SaysSo() =>
        StringAssert.Contains(Refused<QuantizationException>(Options("llama-gqa") with { CalibrationText = "Once" }), "has no tokenizer (tokenizer.model or tokenizer.json)");

    [TestMethod]
    [DataRow("rtn", float.NaN, "model.layers.1.mlp.up_proj.weight", "row 2: not all of its values are finite")]
    [DataRow("awq", float.PositiveInfinity, "model.layers.1.mlp.up_proj.weight", "calibration: the model makes no texts: the model's logits are not finite")]
    [DataRow("rtn", 1e7f, "model.layers.0.self_attn.q_proj.weight", "weight [2, 0]: 10000000 is too large to be quantized: scales have 16 bits")]
    [DataRow("rtn", 1e5f, "model.embed_tokens.weight", "element 128: 100000, must be finite and within float16's 65504")]
    public void Run_ValueThatIsNotHeld_IsPointedOut(string method, float value, string tensor, string message)
    {
        using var model = Changed((builder, name, shape, values) =>
        {
            if (name == tensor)
                values[2 * (int)shape[1]] = value;
            builder.Add(name, "F32", [.. shape], values);
        });
        StringAssert.Contains(Refused<QuantizationException, CheckpointException>(Options("llama-gqa") with { Model = model.Folder, Method = method }), message);
    }

    [TestMethod]
    public void Run_MissingTensor_IsNamed()
    {
        using var model = Changed((builder, name, shape, values) =>
        {
            if (name != "model.layers.1.mlp.up_proj.weight")
                builder.Add(name, "F32", [.. shape], values);
        });
        StringAssert.Contains(Refused<CheckpointException>(Options("llama-gqa") with { Model = model.Folder }), "tensor \"model.layers.1.mlp.up_proj.weight\": missing");
    }

    [TestMethod]
    public void Run_UnknownTensor_IsNamed()
    {
        using var model = Changed((builder, name, shape, values) =>
        {
            builder.Add(name, "F32", [.. shape], values);
            if (name == "lm_head.weight")
                builder.Add("model.layers.0.self_attn.q_norm.weight", "F32", [2], 1f, 1f);
        });
        StringAssert.Contains(Refused<CheckpointException>(Options("llama-gqa") with { Model = model.Folder }), "tensors that are not part of the model: \"model.layers.0.self_attn.q_norm.weight\"");
    }

    [TestMethod]
    public void Run_IntegersForFloats_IsRefused()
    {
        using var model = Changed((builder, name, shape, values) =>
        {
            if (name == "model.norm.weight")
                builder.Add(name, "I32", [.. shape], [.. values.Select(value => (int)value)]);
            else
                builder.Add(name, "F32", [.. shape], values);
        });
        StringAssert.Contains(Refused<CheckpointException>(Options("llama-gqa") with { Model = model.Folder }), "dtype: I32, must be F32, F16 or BF16");
    }

    [TestMethod]
    public void Run_Cancelled_LeavesNothing()
    {
        using var folder = new TempFolder();
        string output = Path.Combine(folder.Path, "out");
        using var cancellation = new CancellationTokenSource();
        var options = Options("llama-gqa") with { Output = output, Progress = new CancelAt(0.3, cancellation) };
        Assert.Throws<OperationCanceledException>(() => ModelQuantizer.Run(options, cancellation.Token));
        Assert.IsFalse(Directory.Exists(output));
    }

    private static QuantizeOptions Options(string model) => new()
    {
        Model = TestData.Committed("zoo", model),
        Output = "",
        GroupSize = 32,
        Device = "cpu",
        CalibrationSequences = 8,
        CalibrationLength = 64,
    };

    private static string Message<T>(QuantizeOptions options)
        where T : Exception => Assert.ThrowsExactly<T>(() => ModelQuantizer.Run(options)).Message;

    /// <summary>The message, after checking that an empty folder stayed empty and one that was not there is not there.</summary>
    private static string Refused<T>(QuantizeOptions options)
        where T : Exception => Refused<T, T>(options);

    private static string Refused<T1, T2>(QuantizeOptions options)
        where T1 : Exception
        where T2 : Exception
    {
        using var folder = new TempFolder();
        string inside = Path.Combine(folder.Path, "new");
        var error = Assert.Throws<IlgpuLlmException>(() => ModelQuantizer.Run(options with { Output = inside }));
        Assert.IsTrue(error is T1 or T2, error.ToString());
        Assert.IsFalse(Directory.Exists(inside));
        Assert.Throws<IlgpuLlmException>(() => ModelQuantizer.Run(options with { Output = folder.Path }));
        Assert.AreEqual(0, Directory.GetFileSystemEntries(folder.Path).Length);
        return error.Message;
    }

    private static TempModel Changed(Action<SafetensorsBuilder, string, IReadOnlyList<long>, float[]> add)
    {
        var model = new TempModel("llama-gqa");
        string path = Path.Combine(model.Folder, "model.safetensors");
        var builder = new SafetensorsBuilder();
        using (var file = SafetensorsFile.Open(path))
            foreach (var tensor in file.Tensors.Values)
                add(builder, tensor.Name, tensor.Shape, System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(file.Read(tensor, 0, (int)tensor.ByteLength)).ToArray());
        File.WriteAllBytes(path, builder.Build());
        return model;
    }

    private sealed class CancelAt(double share, CancellationTokenSource cancellation) : IProgress<double>
    {
        public void Report(double value)
        {
            if (value >= share)
                cancellation.Cancel();
        }
    }
}
