using IlgpuLlm.Loading;

namespace IlgpuLlm.Tests.Loading;

[TestClass]
public sealed class CheckpointIndexTests
{
    private const string Shard1 = "model-00001-of-00002.safetensors";
    private const string Shard2 = "model-00002-of-00002.safetensors";

    [TestMethod]
    public void Open_TwoShards_FindsTensorsOfBoth()
    {
        using var temp = Shards();
        using var checkpoint = OpenIndex(temp, $$"""{"metadata": {"total_size": 16}, "weight_map": {"a": "{{Shard1}}", "b": "{{Shard2}}"} }""");
        Assert.IsTrue(checkpoint.Contains("a") && checkpoint.Contains("b"));
        Assert.AreEqual(16, checkpoint.ByteLength);
    }

    [TestMethod]
    public void Open_SingleFileBesideIndex_TakesTheSingleFile()
    {
        using var temp = Shards();
        temp.Write("model.safetensors", new SafetensorsBuilder().AddRandom("c", 1).Build());
        using var checkpoint = OpenIndex(temp, """{"weight_map": {"a": "gone.safetensors"}}""");
        Assert.IsTrue(checkpoint.Contains("c"));
    }

    [TestMethod]
    [DataRow("not json", "is not valid JSON")]
    [DataRow("{}", "weight_map: missing")]
    [DataRow("""{"weight_map": []}""", "weight_map: [], must be an object")]
    [DataRow("""{"weight_map": {}}""", "at least one tensor")]
    [DataRow("""{"weight_map": {"a": 1}}""", "weight_map.a: 1, must be a string")]
    [DataRow("""{"weight_map": {"a": null}}""", "weight_map: \"a\": null, must name a file")]
    [DataRow("""{"weight_map": {"a": "model-00003-of-00002.safetensors"}}""", "\"a\": \"model-00003-of-00002.safetensors\", which is not in the folder")]
    [DataRow("""{"weight_map": {"a": "../model-00001-of-00002.safetensors"}}""", "must be the plain name")]
    [DataRow("""{"weight_map": {"a": "/etc/passwd"}}""", "\"/etc/passwd\", must be the plain name")]
    [DataRow("""{"weight_map": {"a": "..\\model-00001-of-00002.safetensors"}}""", "must be the plain name")]
    [DataRow("""{"weight_map": {"a": "c:x.safetensors"}}""", "must be the plain name")]
    [DataRow("""{"weight_map": {"a": "x\u0000.safetensors"}}""", "must be the plain name")]
    [DataRow("""{"weight_map": {"a": ""}}""", "must be the plain name")]
    [DataRow("""{"weight_map": {"a": ".."}}""", "must be the plain name")]
    [DataRow("""{"weight_map": {"c": "model-00001-of-00002.safetensors"}}""", "\"c\": \"model-00001-of-00002.safetensors\", which does not hold this tensor")]
    [DataRow(
        """{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors", "x": "model-00002-of-00002.safetensors"}}""",
        "\"b\": \"model-00001-of-00002.safetensors\", which does not hold this tensor; model-00002-of-00002.safetensors does")]
    public void Open_BadIndex_NamesTensorFileAndLimit(string json, string problem)
    {
        using var temp = Shards();
        CheckpointErrors.Expect(() => OpenIndex(temp, json).Dispose(), Path.Combine(temp.Path, CheckpointIndex.FileName), problem);
    }

    [TestMethod]
    public void Open_TensorInTwoShards_NamesBoth()
    {
        using var temp = Shards();
        string second = temp.Write(Shard2, new SafetensorsBuilder().AddRandom("b", 2).AddRandom("a", 2).Build());
        string json = $$"""{"weight_map": {"a": "{{Shard1}}", "b": "{{Shard2}}"} }""";
        CheckpointErrors.Expect(() => OpenIndex(temp, json).Dispose(), second, $"\"a\": is also in {Shard1}");
    }

    [TestMethod]
    public void Open_TruncatedShard_NamesTheShard()
    {
        using var temp = Shards();
        string second = temp.Write(Shard2, [1, 2, 3]);
        string json = $$"""{"weight_map": {"a": "{{Shard1}}", "b": "{{Shard2}}"} }""";
        CheckpointErrors.Expect(() => OpenIndex(temp, json).Dispose(), second, "the file has 3 bytes");
    }

    private static TempFolder Shards()
    {
        var temp = new TempFolder();
        temp.Write(Shard1, new SafetensorsBuilder().AddRandom("a", 2).Build());
        temp.Write(Shard2, new SafetensorsBuilder().AddRandom("b", 2).Build());
        return temp;
    }

    private static Checkpoint OpenIndex(TempFolder temp, string json)
    {
        temp.Write(CheckpointIndex.FileName, json);
        return Checkpoint.Open(temp.Path);
    }
}
