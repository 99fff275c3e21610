using System.Text;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Loading;

[TestClass]
public sealed class QuantizationConfigReaderTests
{
    private const string File = "config.json";

    private const string Awq = """{"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true, "version": "gemm", "modules_to_not_convert": null}""";

    private const string Gptq = """{"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false, "sym": true, "checkpoint_format": "gptq"}""";

    [TestMethod]
    [DataRow("llama-awq-g32", QuantizationMethod.Awq, 32)]
    [DataRow("llama-awq-g64", QuantizationMethod.Awq, 64)]
    [DataRow("llama-gptq-g32", QuantizationMethod.Gptq, 32)]
    [DataRow("llama-gptq-g64", QuantizationMethod.Gptq, 64)]
    [DataRow("llama-gptq-g64-sym", QuantizationMethod.Gptq, 64)]
    public void Read_ZooConfig_HasItsValues(string model, QuantizationMethod method, int groupSize)
    {
        var quantization = ModelConfigReader.Read(TestData.Committed("zoo", model, File)).Quantization!;
        Assert.AreEqual((method, new QuantizationFormat(4, groupSize)), (quantization.Method, quantization.Format));
        Assert.AreEqual(method == QuantizationMethod.Gptq, quantization.StoresZerosMinusOne);
    }

    [TestMethod]
    public void Parse_OldAwqKeys_AreRead()
    {
        var config = Parse("""{"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "zero_point": true, "version": "GEMM", "modules_to_not_convert": ["down_proj"]}""");
        Assert.AreEqual(new QuantizationFormat(4, 64), config.Format);
        Assert.IsTrue(config.Converts("model.layers.0.mlp.up_proj"));
        Assert.IsFalse(config.Converts("model.layers.0.mlp.down_proj"));
    }

    [TestMethod]
    [DataRow(4, -1)]
    [DataRow(4, 32)]
    [DataRow(4, 64)]
    [DataRow(8, 128)]
    public void Parse_Gptq_BitsAndGroupsAreRead(int bits, int groupSize)
    {
        var config = Parse($$"""{"quant_method": "gptq", "bits": {{bits}}, "group_size": {{groupSize}}, "desc_act": true, "sym": false}""");
        Assert.AreEqual((QuantizationMethod.Gptq, new QuantizationFormat(bits, groupSize), true), (config.Method, config.Format, config.StoresZerosMinusOne));
    }

    [TestMethod]
    public void Parse_GptqV2_StoresZerosThemselves() => Assert.IsFalse(Parse(With(Gptq, "checkpoint_format", "\"gptq_v2\"")).StoresZerosMinusOne);

    [TestMethod]
    [DataRow(Awq, "quant_method", "\"bitsandbytes\"", "must be awq or gptq")]
    [DataRow(Awq, "quant_method", "null", "must be awq or gptq")]
    [DataRow(Awq, "quant_method", "4", "must be a string")]
    [DataRow(Awq, "bits", "8", "must be 4")]
    [DataRow(Awq, "bits", "3", "must be 4")]
    [DataRow(Awq, "bits", "null", "must be 4")]
    [DataRow(Awq, "bits", "\"4\"", "must be an integer")]
    [DataRow(Awq, "group_size", "48", "must be -1, 32, 64 or 128")]
    [DataRow(Awq, "group_size", "0", "must be -1, 32, 64 or 128")]
    [DataRow(Awq, "version", "\"gemv\"", "must be gemm")]
    [DataRow(Awq, "version", "\"gemv_fast\"", "must be gemm")]
    [DataRow(Awq, "version", "\"marlin\"", "must be gemm")]
    [DataRow(Awq, "zero_point", "false", "must be true")]
    [DataRow(Awq, "zero_point", "1", "must be true or false")]
    [DataRow(Awq, "modules_to_not_convert", "\"lm_head\"", "must be a list of strings")]
    [DataRow(Awq, "modules_to_not_convert", "[\"\"]", "must not name an empty module")]
    [DataRow(Gptq, "bits", "2", "must be 4 or 8")]
    [DataRow(Gptq, "bits", "3", "must be 4 or 8")]
    [DataRow(Gptq, "bits", "4.5", "must be an integer")]
    [DataRow(Gptq, "group_size", "-2", "must be -1, 32, 64 or 128")]
    [DataRow(Gptq, "group_size", "null", "must be -1, 32, 64 or 128")]
    [DataRow(Gptq, "desc_act", "\"yes\"", "must be true or false")]
    [DataRow(Gptq, "sym", "1", "must be true or false")]
    [DataRow(Gptq, "checkpoint_format", "\"marlin\"", "must be gptq or gptq_v2")]
    [DataRow(Gptq, "is_marlin_format", "true", "must be false")]
    [DataRow(Gptq, "dynamic", "{\"+:.*down.*\": {\"bits\": 8}}", "layers of different bits")]
    public void Parse_BadValue_NamesFieldValueAndLimit(string config, string field, string value, string limit) =>
        CheckpointErrors.Expect(() => Parse(With(config, field, value)), File, $"{field}: {(value.StartsWith('{') ? "an object" : value)}, ", limit);

    [TestMethod]
    [DataRow("quant_config.json", """{"zero_point": true, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}""", QuantizationMethod.Awq)]
    [DataRow("quantize_config.json", """{"bits": 4, "group_size": 128, "damp_percent": 0.1, "desc_act": true, "sym": true, "true_sequential": true}""", QuantizationMethod.Gptq)]
    [DataRow("quantize_config.json", """{"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true}""", QuantizationMethod.Awq)]
    public void Read_FileOfItsOwn_IsRead(string name, string content, QuantizationMethod method)
    {
        using var temp = new TempFolder();
        string config = temp.Write(File, """{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}""");
        Assert.IsNull(ModelConfigReader.Read(config).Quantization);
        string file = temp.Write(name, content);
        Assert.AreEqual((method, new QuantizationFormat(4, 128)), (ModelConfigReader.Read(config).Quantization!.Method, ModelConfigReader.Read(config).Quantization!.Format));
        temp.Write(name, content.Replace("4", "3"));
        CheckpointErrors.Expect(() => ModelConfigReader.Read(config), file, ": 3, must be 4");
    }

    private static QuantizationConfig Parse(string json) => QuantizationConfigReader.Parse(JsonFields.Parse(File, Encoding.UTF8.GetBytes(json)));

    private static string With(string config, string field, string value)
    {
        var json = System.Text.Json.Nodes.JsonNode.Parse(config)!.AsObject();
        json[field] = System.Text.Json.Nodes.JsonNode.Parse(value);
        return json.ToJsonString();
    }
}
