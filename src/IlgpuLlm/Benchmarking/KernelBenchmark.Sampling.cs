using System.Runtime.InteropServices;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Benchmarking;

public sealed partial class KernelBenchmark
{
    /// <summary>Sampling on the device, of logits as spread as a model's: up to 20 below the largest.</summary>
    private void Sampling(int vocab)
    {
        if (!_backend.SupportsSampling)
            return;
        int numRows = _what.PrefillLen is null ? NumRows : 1;
        var random = new SamplingRow
        {
            Kind = SamplingKind.Random,
            InverseTemperature = 10,
            TopP = 1,
            Floor = -26,
            CountsRow = SamplingRow.NoCounts,
            RepetitionPenalty = 1,
        };
        Sampling("greedy", random with { Kind = SamplingKind.Greedy }, vocab, numRows);
        Sampling("temperature", random, vocab, numRows);
        Sampling("min-p 0.05", random with { Floor = -3 }, vocab, numRows);
        Sampling("top-k 50", random with { TopK = 50 }, vocab, numRows);
        Sampling("top-p 0.9", random with { TopP = 0.9f, Floor = -float.MaxValue }, vocab, numRows);
    }

    private void Sampling(string kind, SamplingRow parameters, int vocab, int numRows)
    {
        string name = $"sample {kind} {vocab}";
        if (!IsWanted(name))
            return;
        using var logits = Random(ElementType.F32, (long)numRows * vocab);
        using var rows = _backend.Allocate(ElementType.I32, numRows * SamplingRow.NumWords);
        using var banned = _backend.Allocate(ElementType.I32, numRows * SamplingRow.MaxBanned);
        using var sampled = _backend.Allocate(ElementType.I32, numRows * Backend.SampledWidth);
        var values = new SamplingRow[numRows];
        for (int row = 0; row < numRows; row++)
            values[row] = parameters with { Output = row, SeedLow = (uint)row };
        _backend.Upload(MemoryMarshal.Cast<SamplingRow, int>(values), rows);
        var batch = new SamplingBatch { Rows = rows, Banned = banned, TokenCounts = sampled, VocabSize = vocab, NumRows = numRows };
        Measure(name, numRows, 1, _ => _backend.Sample(logits, batch, sampled), (double)numRows * vocab * sizeof(float), 0);
    }
}
