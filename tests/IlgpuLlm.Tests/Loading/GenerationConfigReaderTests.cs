using IlgpuLlm.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Loading;

[TestClass]
public sealed class GenerationConfigReaderTests
{
    [TestMethod]
    public void Read_AbsentFile_SaysNothing()
    {
        var config = GenerationConfigReader.Read("/no/such/generation_config.json");
        Assert.IsNull(config.Temperature);
        Assert.IsEmpty(config.EosTokenIds);
    }

    [TestMethod]
    public void Read_DemoModel_HasItsDefaults()
    {
        var config = GenerationConfigReader.Read(Path.Combine(TestData.Root, "src", "IlgpuLlm.DemoModel", "model", "generation_config.json"));
        Assert.AreEqual(0.8f, config.Temperature);
        Assert.AreEqual(0.95f, config.TopP);
        Assert.IsTrue(config.DoSample);
        Assert.AreEqual(1, config.BosTokenId);
        Assert.AreSequenceEqual([2], config.EosTokenIds);
    }

    [TestMethod]
    public void Read_Stories260K_HasTwoEndTokens() =>
        Assert.AreSequenceEqual([1, 2], GenerationConfigReader.Read(TestData.Shared("models", "stories260K", "generation_config.json")).EosTokenIds);

    [TestMethod]
    public void Parse_AllKeys_AreRead()
    {
        var config = Parse("""
            {"do_sample": false, "temperature": 0, "top_k": -1, "top_p": 1, "min_p": 0.05, "repetition_penalty": 1.1, "max_new_tokens": 7,
             "bos_token_id": null, "eos_token_id": [128001, 128009], "_from_model_config": true, "transformers_version": "5.0"}
            """);
        Assert.IsFalse(config.DoSample);
        Assert.AreEqual(0f, config.Temperature);
        Assert.AreEqual(-1, config.TopK);
        Assert.AreEqual(1f, config.TopP);
        Assert.AreEqual(0.05f, config.MinP);
        Assert.AreEqual(1.1f, config.RepetitionPenalty);
        Assert.AreEqual(7, config.MaxNewTokens);
        Assert.IsNull(config.BosTokenId);
        Assert.AreSequenceEqual([128001, 128009], config.EosTokenIds);
    }

    [TestMethod]
    [DataRow("temperature", "-0.5", "from 0")]
    [DataRow("temperature", "\"hot\"", "finite number")]
    [DataRow("temperature", "1e999", "finite number")]
    [DataRow("top_k", "-2", "from -1")]
    [DataRow("top_k", "2.5", "integer")]
    [DataRow("top_p", "0", "above 0")]
    [DataRow("top_p", "1.5", "up to 1")]
    [DataRow("min_p", "-1", "from 0 to 1")]
    [DataRow("repetition_penalty", "0", "from 1e-6")]
    [DataRow("max_new_tokens", "0", "from 1")]
    [DataRow("do_sample", "1", "true or false")]
    [DataRow("eos_token_id", "-1", "from 0")]
    [DataRow("eos_token_id", "[2, null]", "integer")]
    [DataRow("eos_token_id", "{}", "an object, must be an integer")]
    [DataRow("bos_token_id", "[1]", "integer")]
    public void Parse_BadValue_NamesFieldValueAndLimit(string field, string value, string limit) =>
        CheckpointErrors.Expect(() => Parse($"{{\"{field}\": {value}}}"), "generation_config.json", field, value == "{}" ? "an object" : value, limit);

    private static GenerationConfig Parse(string json) =>
        GenerationConfigReader.Parse(JsonFields.Parse("generation_config.json", System.Text.Encoding.UTF8.GetBytes(json)));
}
