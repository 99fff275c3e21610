using IlgpuLlm.Bench.Precisions;
using IlgpuLlm.Tests.Loading;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Bench.Tests.Precisions;

[TestClass]
public sealed class ModelFinderTests
{
    private static readonly EngineOptions Cpu = new() { Device = "cpu" };

    [TestMethod]
    [DataRow("llama", "llama-2-7b-chat-hf", "llama-2-7b-chat-autoawq")]
    [DataRow("mistral", "mistral-7b-v0.1-instruct-hf", "mistral-7b-v0.1-instruct-autoawq")]
    public void Find_NoFolders_NamesThemAndWhatElseRuns(string name, string floats, string int4)
    {
        using var models = new TempFolder();
        var error = Assert.ThrowsExactly<BenchException>(() => ModelFinder.Find(name, models.Path, isDummy: false, Precision.All, Cpu));
        foreach (string part in (string[])[Path.Combine(models.Path, floats), Path.Combine(models.Path, int4), "--model_name demo", "--dummy"])
            StringAssert.Contains(error.Message, part);
    }

    [TestMethod]
    public void Find_SeedsFolders_ServeThePrecisions()
    {
        using var models = new TempFolder();
        string floats = Directory.CreateDirectory(Path.Combine(models.Path, "mistral-7b-v0.1-instruct-hf")).FullName;
        using var model = ModelFinder.Find("mistral", models.Path, isDummy: false, Precision.All, Cpu);
        Assert.IsTrue(model.SystemIsUserTurn);
        CollectionAssert.AreEqual((string?[])[floats, floats, floats, null], model.Targets.Select(t => t.Folder).ToArray());
        StringAssert.Contains(model.Targets[3].Missing, "mistral-7b-v0.1-instruct-autoawq: no such folder");
        CollectionAssert.AreEqual((string[])["float32", "float16", "float16"], model.Targets.Take(3).Select(t => t.Options!.DType).ToArray());
        CollectionAssert.AreEqual((string[])["auto", "auto", "int8"], model.Targets.Take(3).Select(t => t.Options!.Quantization).ToArray());
        Directory.CreateDirectory(Path.Combine(models.Path, "mistral-7b-v0.1-instruct-autoawq"));
        using var both = ModelFinder.Find("mistral", models.Path, isDummy: false, ["int4"], Cpu);
        Assert.AreEqual("auto", both.Targets.Single().Options!.Quantization, "the checkpoint is quantized already");
    }

    [TestMethod]
    [DataRow("llama", 6_738_415_616L)]
    [DataRow("mistral", 7_241_732_096L)]
    public void Find_Dummy_HasTheShapeOfThe7BModelAndATokenizer(string name, long numParameters)
    {
        string folder;
        using (var model = ModelFinder.Find(name, "none", isDummy: true, Precision.All, Cpu))
        {
            folder = model.Dummy!.Folder;
            var info = LLM.Inspect(model.Targets[3].Options! with { Device = "ilgpu-cpu", NumBlocksOverride = 1, MaxModelLen = 16, MaxNumBatchedTokens = 1, MaxNumSeqs = 1, GpuMemoryUtilization = 1 });
            Assert.AreEqual((numParameters, 4), (info.NumParameters, info.Quantization!.Bits));
            Assert.IsTrue(File.Exists(Path.Combine(folder, "tokenizer.json")));
        }
        Assert.IsFalse(Directory.Exists(folder), "it exists for the run only");
    }

    [TestMethod]
    public void Find_Demo_HasAFolderOfItsOwnForInt4()
    {
        using var model = ModelFinder.Find("demo", "none", isDummy: false, ["int8", "int4"], Cpu);
        CollectionAssert.AreEqual((string[])[DemoModel.DemoModelFolder.FullPath, DemoModel.DemoModelFolder.Int4Path], model.Targets.Select(t => t.Folder).ToArray());
        CollectionAssert.AreEqual((string[])["int8", "auto"], model.Targets.Select(t => t.Options!.Quantization).ToArray());
    }

    [TestMethod]
    public void Find_QuantizedFolder_ServesItsOwnPrecisionAlone()
    {
        using var model = ModelFinder.Find(TestData.Committed("zoo", "llama-awq-g32"), "none", isDummy: false, Precision.All, Cpu);
        Assert.AreEqual("llama-awq-g32", model.Name);
        CollectionAssert.AreEqual((bool[])[false, false, false, true], model.Targets.Select(t => t.Options is not null).ToArray());
        StringAssert.Contains(model.Targets[0].Missing, "the checkpoint is int4");
    }

    [TestMethod]
    public void Find_NoSuchModel_SaysWhatANameMayBe() =>
        StringAssert.Contains(Assert.ThrowsExactly<BenchException>(() => ModelFinder.Find("gpt", "none", false, Precision.All, Cpu)).Message, "llama, mistral, demo");

    [TestMethod]
    public void Parse_Precisions_AreInOrderAndKnown()
    {
        CollectionAssert.AreEqual((string[])["float32", "int4"], Precision.Parse("int4, float32").ToArray());
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOptionException>(() => Precision.Parse("int3")).Message, "'int3' is not a precision");
        Assert.ThrowsExactly<InvalidOptionException>(() => Precision.Parse(" , "));
    }
}
