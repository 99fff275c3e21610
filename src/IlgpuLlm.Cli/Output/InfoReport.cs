using System.Runtime.Intrinsics;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Engine;
using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;
using IlgpuLlm.Kernels.Cpu;
using IlgpuLlm.Kernels.Gpu;
using IlgpuLlm.Loading;
using Spectre.Console;

namespace IlgpuLlm.Cli.Output;

/// <summary>The tables of <c>info</c>.</summary>
internal sealed class InfoReport(IAnsiConsole console)
{
    /// <summary>Writes what --device can name on this machine.</summary>
    public void WriteDevices(int numThreads)
    {
        var table = CreateTable("device", "name", "memory");
        using (var cpu = new CpuBackend(numThreads))
            table.AddRow(Cells(cpu.Device, FormattableString.Invariant($"{cpu.Description}, {cpu.NumThreads} threads, {SimdBits()}-bit SIMD"), ByteSize.Format(cpu.QueryMemory().TotalBytes)));
        foreach (var gpu in GpuBackend.CudaDevices())
            table.AddRow(Cells($"cuda:{gpu.Index}", gpu.Name, ByteSize.Format(gpu.MemoryBytes)));
        console.Write(table);
        console.WriteLine();
    }

    /// <summary>Writes what the model is.</summary>
    public void WriteModel(EngineInfo info)
    {
        var config = info.Config;
        var table = CreateTable("model", info.ModelFolder);
        Row(table, "architecture", config.Architecture);
        Row(table, "parameters", $"{info.NumParameters:N0}");
        Row(table, "layers", $"{config.NumHiddenLayers}, hidden size {config.HiddenSize}, intermediate size {config.IntermediateSize}");
        Row(table, "attention", $"{config.NumAttentionHeads} heads of {config.HeadDim}, {config.NumKeyValueHeads} key/value heads, {Window(config)}");
        Row(table, "rotary", $"{config.Rope.Type.ToString().ToLowerInvariant()}, theta {config.Rope.Theta}");
        if (info.Quantization is { } quantization)
            Row(table, "layers' weights", Quantization(quantization, config));
        Row(table, "vocabulary", $"{config.VocabSize} tokens{(config.TieWordEmbeddings ? ", tied embeddings" : "")}");
        Row(table, "runs as", $"{ElementTypeName.Of(info.DType)}{(info.UsesTf32 ? ", products as TF32," : "")} on {info.Device} ({info.DeviceDescription})");
        Row(table, "KV cache", $"{ElementTypeName.Of(info.KvCacheDType)}, {info.Memory.BlockBytes / info.Memory.BlockSize} bytes a token");
        Row(table, "batch-invariant", info.IsBatchInvariant ? "yes" : "no");
        console.Write(table);
        console.WriteLine();
    }

    /// <summary>Writes what an engine would allocate.</summary>
    public void WriteMemory(MemoryPlan plan)
    {
        var table = CreateTable("memory", "size", "for");
        MemoryRow(table, "weights", plan.WeightBytes, $"");
        MemoryRow(table, "workspace", plan.WorkspaceBytes, $"steps of at most {plan.MaxNumBatchedTokens} tokens of {plan.MaxNumSeqs} sequences");
        MemoryRow(table, "KV cache", plan.KvCacheBytes,
            $"{plan.NumCacheTokens} tokens: {plan.NumBlocks} blocks of {plan.BlockSize} tokens, {plan.BlockBytes} bytes each");
        MemoryRow(table, "total", plan.TotalBytes, $"of {ByteSize.Format(plan.BudgetBytes)} available");
        console.Write(table);
        console.WriteLine();
        console.WriteLine(FormattableString.Invariant(
            $"longest sequence: {plan.MaxModelLen} tokens (the model allows {plan.ModelMaxLen}); the KV cache holds {plan.NumCacheTokens / plan.MaxModelLen} of them"));
    }

    private static Table CreateTable(params string[] headings)
    {
        var table = new Table { Border = TableBorder.Minimal, UseSafeBorder = false };
        foreach (string heading in headings)
            table.AddColumn(new TableColumn(new Text(heading)).NoWrap());
        return table;
    }

    private static void Row(Table table, string name, FormattableString value) => Row(table, name, FormattableString.Invariant(value));

    private static void Row(Table table, string name, string value) => table.AddRow(Cells(name, value));

    private static void MemoryRow(Table table, string name, long bytes, FormattableString purpose) =>
        table.AddRow(Cells(name, ByteSize.Format(bytes), FormattableString.Invariant(purpose)));

    // Text, not strings: Spectre.Console reads brackets in strings as markup.
    private static Text[] Cells(params string[] texts) => Array.ConvertAll(texts, text => new Text(text));

    private static string Window(ModelConfig config) => config.SlidingWindow is { } window ? $"sliding window of {window} tokens" : "no sliding window";

    private static string Quantization(QuantizationFormat format, ModelConfig config)
    {
        string groups = format.GroupSize == QuantizationFormat.WholeRow ? "a row a group" : $"groups of {format.GroupSize}";
        return $"int{format.Bits}, {groups}, {config.Quantization?.MethodName ?? "rounded to nearest while loading"}";
    }

    private static int SimdBits() => Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;
}
