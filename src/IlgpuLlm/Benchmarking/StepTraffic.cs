using IlgpuLlm.Engine;
using IlgpuLlm.Models;

namespace IlgpuLlm.Benchmarking;

/// <summary>What a model must at least read and compute: each step all weights once, each token the keys and values that it sees.</summary>
internal sealed class StepTraffic
{
    private readonly EngineInfo _info;
    private readonly AttentionWindow _window;
    private readonly double _kvBytesPerToken;

    public StepTraffic(EngineInfo info)
    {
        _info = info;
        _window = new AttentionWindow(ModelRegistry.Describe(info.Config).SlidingWindow);
        _kvBytesPerToken = (double)info.Memory.BlockBytes / info.Memory.BlockSize;
    }

    /// <summary>The weights that some steps read, in bytes.</summary>
    public double WeightBytes(long numSteps) => (double)numSteps * _info.WeightBytesPerStep;

    /// <summary>The keys and values that a sequence's tokens at positions [first, end) read, a step each, in bytes.</summary>
    public double DecodeKvBytes(int first, int end) => _kvBytesPerToken * _window.NumSeen(first, end);

    /// <summary>The keys and values that a prompt reads, in bytes: each once.</summary>
    public double PrefillKvBytes(int length) => _kvBytesPerToken * length;

    /// <summary>Multiplications and additions with weights for a token of a decode step, attention left out.</summary>
    public double FlopsPerToken => 2 * (LayerWeights + OutputWeights);

    private double OutputWeights => (double)_info.Config.VocabSize * _info.Config.HiddenSize;

    private double LayerWeights => _info.NumParameters - (ModelRegistry.Describe(_info.Config).TieWordEmbeddings ? OutputWeights : 2 * OutputWeights);

    /// <summary>Multiplications and additions of a prompt: layers and attention of all tokens, the output layer of one.</summary>
    public double PrefillFlops(int length)
    {
        var config = _info.Config;
        double attention = 4.0 * config.NumHiddenLayers * config.NumAttentionHeads * config.HeadDim * _window.NumSeen(0, length);
        return 2 * LayerWeights * length + 2 * OutputWeights + attention;
    }
}
