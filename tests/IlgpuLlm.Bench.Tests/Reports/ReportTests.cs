using IlgpuLlm.Bench.Reports;
using IlgpuLlm.Tests.Loading;

namespace IlgpuLlm.Bench.Tests.Reports;

[TestClass]
public sealed class ReportTests
{
    [TestMethod]
    public void Read_WhatWasWritten_GivesItBack()
    {
        using var folder = new TempFolder();
        string file = Path.Combine(folder.Path, "report.json"), again = Path.Combine(folder.Path, "again.json");
        ReportJson.Write(SampleReport.Create(), file);
        var read = ReportJson.Read(file);
        Assert.AreEqual(SampleReport.Create().Precisions[0].Single, read.Precisions[0].Single);
        Assert.AreEqual(SampleReport.Create().Precisions[0].Batches[1], read.Precisions[0].Batches[1]);
        ReportJson.Write(read, again);
        Assert.AreEqual(File.ReadAllText(file), File.ReadAllText(again));
    }

    [TestMethod]
    [DataRow("", "is not a report")]
    [DataRow("[]", "is not a report")]
    [DataRow("{}", "is not a report")]
    [DataRow("null", "is null")]
    public void Read_BrokenFile_SaysWhatIsWrong(string json, string problem)
    {
        using var folder = new TempFolder();
        string file = folder.Write("report.json", json);
        var error = Assert.ThrowsExactly<BenchException>(() => ReportJson.Read(file));
        StringAssert.StartsWith(error.Message, file);
        StringAssert.Contains(error.Message, problem);
    }

    [TestMethod]
    public void Read_OtherVersion_IsRefused()
    {
        using var folder = new TempFolder();
        string file = Path.Combine(folder.Path, "report.json");
        ReportJson.Write(SampleReport.Create() with { FormatVersion = 99 }, file);
        StringAssert.Contains(Assert.ThrowsExactly<BenchException>(() => ReportJson.Read(file)).Message, "format_version is 99, must be 1");
    }

    [TestMethod]
    public void Comparison_TwoReports_HasRatiosToTheFirst()
    {
        BenchReport[] reports = [SampleReport.Create(100), SampleReport.Create(150)];
        Assert.AreEqual("llama, NVIDIA H100, 2026-01-02 03:04", ReportComparison.Columns(reports)[2]);
        var rows = ReportComparison.Rows(reports).ToList();
        CollectionAssert.AreEqual((string[])["float16", "tokens/s", "100.00", "150.00 (1.50x)"], rows[0].ToArray());
        CollectionAssert.AreEqual((string[])["float16", "decode tok/s, 8 sequences", "700.0", "1,050.0 (1.50x)"], rows[^1].ToArray());
        Assert.IsFalse(rows.Any(row => row[0] == "int4"), "nothing was measured");
    }

    [TestMethod]
    public void Html_GpuReport_HasPublishedFiguresBesideOurs()
    {
        using var folder = new TempFolder();
        string file = Path.Combine(folder.Path, "report.html");
        HtmlReport.Write(SampleReport.Create(), file);
        string html = File.ReadAllText(file);
        foreach (string text in (string[])["int4 was not measured: no such folder", "89.43 &#177; 0.19", "58.0", "random weights", "vLLM 0.4 on A100 80GB (published)", "A100 80GB (data sheet)",
            "measured copy, tensor cores (data sheet)", "share of the bandwidth limit (%)", "setting dtype after loading has no effect"])
            StringAssert.Contains(html, text);
    }

    [TestMethod]
    public void SeedRows_OurRow_ReadsWeightsAtTheSeedsRate()
    {
        var row = ReportTables.SeedRows(SampleReport.Create()).First();
        CollectionAssert.AreEqual((string[])["IlgpuLlm", "NVIDIA H100", "float16", "100.00 ± 1.00", "70,000.00", "1,320.0", "3,350", "38.0", ""], row.ToArray());
    }
}
