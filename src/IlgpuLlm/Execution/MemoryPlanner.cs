using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;

namespace IlgpuLlm.Execution;

/// <summary>Divides the device's memory into weights, workspace and KV cache.</summary>
internal static class MemoryPlanner
{
    private const long CpuKvCacheLimit = 4L << 30; // vLLM's VLLM_CPU_KVCACHE_SPACE

    /// <exception cref="ModelDoesNotFitException">It does not fit.</exception>
    /// <exception cref="InvalidOptionException">max-model-len exceeds the model's.</exception>
    public static MemoryPlan Plan(Backend backend, ModelConfig config, ModelDescription description, ElementType dtype, EngineOptions options)
    {
        int modelMaxLen = DerivedMaxModelLen(config);
        if (options.MaxModelLen > modelMaxLen)
            throw new InvalidOptionException("max-model-len", $"{options.MaxModelLen} exceeds what the model allows, {modelMaxLen}");
        int maxModelLen = options.MaxModelLen ?? modelMaxLen;
        var plan = PlanFor(maxModelLen);
        if (plan.WeightBytes + plan.WorkspaceBytes > plan.BudgetBytes)
            throw new ModelDoesNotFitException(plan, TooLarge(plan));
        if (plan.NumCacheTokens < maxModelLen)
        {
            // Not asked for by the user: take the longest sequence that fits. Shorter sequences need no more workspace, so the plan still holds.
            if (options.MaxModelLen is not null || plan.NumCacheTokens == 0)
                throw new ModelDoesNotFitException(plan,
                    $"the KV cache cannot hold one sequence of max-model-len {maxModelLen} tokens; the largest that fits is {plan.NumCacheTokens}");
            plan = plan with { MaxModelLen = (int)plan.NumCacheTokens };
        }
        return plan;

        MemoryPlan PlanFor(int length)
        {
            var attention = LlamaModel.AttentionShapeOf(config, description);
            var memory = backend.QueryMemory();
            long budget = backend.IsHostMemory ? memory.FreeBytes : (long)(memory.TotalBytes * options.GpuMemoryUtilization) - (memory.TotalBytes - memory.FreeBytes);
            long weights = WeightBytes(backend, config, description, dtype);
            long workspace = WorkspaceBytes(backend, config, attention, options, length);
            long blockBytes = KvCache.BlockByteLength(attention, dtype, config.NumHiddenLayers, options.BlockSize);
            long free = Math.Max(0, budget - weights - workspace);
            long mostUseful = (long)options.MaxNumSeqs * ((length + options.BlockSize - 1) / options.BlockSize);
            long automatic = backend.IsHostMemory ? Math.Min(CpuKvCacheLimit, free / 2) : free;
            long numBlocks = options.NumBlocksOverride ?? (options.KvCacheMemoryBytes ?? Math.Min(automatic, mostUseful * blockBytes)) / blockBytes;
            // Slots are 32-bit integers on the device.
            numBlocks = Math.Min(numBlocks, int.MaxValue / options.BlockSize);
            return new MemoryPlan
            {
                WeightBytes = weights,
                WorkspaceBytes = workspace,
                NumBlocks = numBlocks,
                BlockSize = options.BlockSize,
                BlockBytes = blockBytes,
                MaxModelLen = length,
                ModelMaxLen = modelMaxLen,
                MaxNumSeqs = options.MaxNumSeqs,
                MaxNumBatchedTokens = options.MaxNumBatchedTokens,
                BudgetBytes = budget,
            };
        }
    }

    /// <summary>The model's context: max_position_embeddings, stretched where rotary scaling stretches it (as vLLM derives it).</summary>
    private static int DerivedMaxModelLen(ModelConfig config)
    {
        double length = config.Rope.Type switch
        {
            RopeType.Linear or RopeType.Dynamic => config.MaxPositionEmbeddings * config.Rope.Factor,
            RopeType.Yarn => config.Rope.OriginalMaxPositionEmbeddings * config.Rope.Factor,
            _ => config.MaxPositionEmbeddings,
        };
        return (int)Math.Min(length, int.MaxValue / 2);
    }

    private static long WeightBytes(Backend backend, ModelConfig config, ModelDescription description, ElementType dtype)
    {
        var attention = LlamaModel.AttentionShapeOf(config, description);
        long table = backend.LinearByteLength(config.VocabSize, config.HiddenSize, dtype, hasBias: false);
        long layer = backend.LinearByteLength(attention.QkvWidth, config.HiddenSize, dtype, description.QkvBias)
            + backend.LinearByteLength(config.HiddenSize, attention.QueryWidth, dtype, description.OutputBias)
            + backend.LinearByteLength(2 * config.IntermediateSize, config.HiddenSize, dtype, description.MlpBias)
            + backend.LinearByteLength(config.HiddenSize, config.IntermediateSize, dtype, description.MlpBias)
            + 2L * config.HiddenSize * sizeof(float);
        return (description.TieWordEmbeddings ? table : 2 * table) + layer * config.NumHiddenLayers + config.HiddenSize * sizeof(float);
    }

    private static long WorkspaceBytes(Backend backend, ModelConfig config, AttentionShape attention, EngineOptions options, int maxModelLen)
    {
        int maxTokens = options.MaxNumBatchedTokens, maxSeqs = options.MaxNumSeqs;
        return ActivationBuffers.ByteLength(config, attention, maxTokens, maxSeqs)
            + InputBatch.ByteLength(maxTokens, maxSeqs, maxSeqs, maxModelLen, options.BlockSize)
            + RotaryTableBuilder.ByteLength(new RotaryEmbedding(config), maxModelLen, maxTokens, config.HeadDim)
            + (backend.SupportsGraphs ? DecodeGraphs.ByteLength(Math.Min(maxSeqs, maxTokens), maxModelLen, options.BlockSize) : 0)
            + backend.WorkspaceByteLength(maxTokens, attention, maxModelLen, LlamaModel.MaxInFeatures(config));
    }

    private static string TooLarge(MemoryPlan plan) => plan.WeightBytes > plan.BudgetBytes
        ? "the weights alone do not fit the device's memory"
        : $"weights and workspace do not fit; max-num-batched-tokens {plan.MaxNumBatchedTokens} would have to be at most "
            + $"{Math.Max(0, (long)(plan.MaxNumBatchedTokens * ((plan.BudgetBytes - plan.WeightBytes) / (double)plan.WorkspaceBytes)))}";
}
