using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;

namespace IlgpuLlm.Execution;

/// <summary>Divides the device's memory into weights, workspace and KV cache.</summary>
internal static class MemoryPlanner
{
    private const long CpuKvCacheLimit = 4L << 30; // vLLM's VLLM_CPU_KVCACHE_SPACE

    /// <summary>Makes the plan.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="description">Its architecture.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="forms">What the matrices of its layers become.</param>
    /// <param name="options">The options.</param>
    /// <exception cref="ModelDoesNotFitException">It does not fit.</exception>
    /// <exception cref="InvalidOptionException">max-model-len exceeds the model's, or it or max-num-seqs what arrays hold.</exception>
    public static MemoryPlan Plan(
        Backend backend, ModelConfig config, ModelDescription description, ModelShape shape, IReadOnlyList<LayerForms> forms, EngineOptions options)
    {
        int modelMaxLen = DerivedMaxModelLen(config);
        if (options.MaxModelLen > modelMaxLen)
            throw new InvalidOptionException("max-model-len", $"{options.MaxModelLen} exceeds what the model allows, {modelMaxLen}");
        int maxModelLen = options.MaxModelLen ?? modelMaxLen;
        CheckArrays(config, options, maxModelLen);
        var plan = PlanFor(maxModelLen);
        long fixedWorkspace = plan.WorkspaceBytes - plan.NumBlocks * plan.BlockWorkspaceBytes;
        if (plan.WeightBytes + fixedWorkspace > plan.BudgetBytes)
            throw new ModelDoesNotFitException(plan, TooLarge());
        if (plan.NumCacheTokens < maxModelLen)
        {
            // Not asked for by the user: take the longest sequence that fits. Shorter sequences need no more workspace, so the plan still holds.
            if (options.MaxModelLen is not null || plan.NumCacheTokens == 0)
                throw new ModelDoesNotFitException(plan,
                    $"the KV cache cannot hold one sequence of max-model-len {maxModelLen} tokens; the largest that fits is {plan.NumCacheTokens}");
            plan = plan with { MaxModelLen = (int)plan.NumCacheTokens };
        }
        // A size given by the user is not cut to what there is.
        long mostForCache = backend.QueryMemory().FreeBytes - plan.WeightBytes - fixedWorkspace, perBlock = plan.BlockBytes + plan.BlockWorkspaceBytes;
        if (plan.NumBlocks * perBlock > mostForCache)
        {
            long most = Math.Max(0, mostForCache / perBlock);
            throw new ModelDoesNotFitException(plan,
                $"a KV cache of {plan.NumBlocks} blocks does not fit; the largest that does has {most} blocks, {most * plan.BlockBytes} bytes");
        }
        return plan;

        // Names the first option that would make it fit if it alone were smaller.
        string TooLarge()
        {
            const string Problem = "weights and workspace do not fit";
            if (plan.WeightBytes > plan.BudgetBytes)
                return "the weights alone do not fit the device's memory";
            if (Largest(options.MaxNumBatchedTokens, n => WorkspaceFits(options with { MaxNumBatchedTokens = n }, maxModelLen)) is > 0 and var tokens)
                return $"{Problem}; max-num-batched-tokens {options.MaxNumBatchedTokens} would have to be at most {tokens}";
            if (Largest(options.MaxNumSeqs, n => WorkspaceFits(options with { MaxNumSeqs = n }, maxModelLen)) is > 0 and var seqs)
                return $"{Problem}; max-num-seqs {options.MaxNumSeqs} would have to be at most {seqs}";
            return Largest(maxModelLen, n => WorkspaceFits(options, n)) is > 0 and var length
                ? $"{Problem}; max-model-len {maxModelLen} would have to be at most {length}"
                : $"{Problem}; max-num-batched-tokens, max-num-seqs and max-model-len would have to be smaller";
        }

        bool WorkspaceFits(EngineOptions smaller, int length) =>
            WorkspaceBytes(backend, config, shape, smaller, length) <= plan.BudgetBytes - plan.WeightBytes;

        MemoryPlan PlanFor(int length)
        {
            var memory = backend.QueryMemory();
            long budget = backend.IsHostMemory ? memory.FreeBytes : (long)(memory.TotalBytes * options.GpuMemoryUtilization) - (memory.TotalBytes - memory.FreeBytes);
            long weights = WeightBytes(backend, config, description, shape, forms);
            long workspace = WorkspaceBytes(backend, config, shape, options, length);
            long blockBytes = KvCache.BlockByteLength(shape, config.NumHiddenLayers, options.BlockSize);
            long blockWorkspace = KvCache.BlockWorkspaceByteLength(backend, shape, options.BlockSize);
            long free = Math.Max(0, budget - weights - workspace);
            long mostUseful = (long)options.MaxNumSeqs * ((length + options.BlockSize - 1) / options.BlockSize);
            long automatic = backend.IsHostMemory ? Math.Min(CpuKvCacheLimit, free / 2) : free;
            long numBlocks = options.NumBlocksOverride ?? options.KvCacheMemoryBytes / blockBytes ?? Math.Min(automatic / (blockBytes + blockWorkspace), mostUseful);
            // Slots are 32-bit integers on the device.
            numBlocks = Math.Min(numBlocks, int.MaxValue / options.BlockSize);
            return new MemoryPlan
            {
                WeightBytes = weights,
                WorkspaceBytes = workspace + numBlocks * blockWorkspace,
                BlockWorkspaceBytes = blockWorkspace,
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

    /// <summary>Logits, block tables and rotary rows pass through arrays, which hold 2^31 elements.</summary>
    private static void CheckArrays(ModelConfig config, EngineOptions options, int maxModelLen)
    {
        if ((long)maxModelLen * config.HeadDim > Array.MaxLength)
            throw new InvalidOptionException("max-model-len", $"{maxModelLen} is more than can be rotated in advance; with heads of {config.HeadDim} elements it must be at most {Array.MaxLength / config.HeadDim}");
        int widest = Math.Max(config.VocabSize, (maxModelLen + options.BlockSize - 1) / options.BlockSize);
        if ((long)options.MaxNumSeqs * widest > Array.MaxLength)
            throw new InvalidOptionException("max-num-seqs", $"{options.MaxNumSeqs} is too many for this vocabulary, max-model-len and block-size; it must be at most {Array.MaxLength / widest}");
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

    private static long WeightBytes(Backend backend, ModelConfig config, ModelDescription description, ModelShape shape, IReadOnlyList<LayerForms> forms)
    {
        var (embedding, output) = LlamaModel.TableByteLengths(backend, config, description, shape);
        long norm = (long)config.HiddenSize * sizeof(float);
        return embedding + output + forms.Sum(layer => layer.ByteLength(backend, shape, description) + 2 * norm) + norm;
    }

    private static long WorkspaceBytes(Backend backend, ModelConfig config, ModelShape shape, EngineOptions options, int maxModelLen)
    {
        int maxTokens = options.MaxNumBatchedTokens, maxSeqs = options.MaxNumSeqs;
        return ActivationBuffers.ByteLength(backend, shape, config.VocabSize, maxTokens, maxSeqs)
            + InputBatch.ByteLength(maxTokens, maxSeqs, maxSeqs, maxModelLen, options.BlockSize)
            + RotaryTableBuilder.ByteLength(new RotaryEmbedding(config), maxModelLen, maxTokens, config.HeadDim)
            + (backend.SupportsSampling ? DeviceSampling.ByteLength(config.VocabSize, maxSeqs, maxModelLen) : 0)
            + (backend.SupportsGraphs ? DecodeGraphs.ByteLength(Math.Min(maxSeqs, maxTokens), maxModelLen, options.BlockSize) : 0)
            + backend.WorkspaceByteLength(new WorkspaceShape(shape, maxTokens, maxSeqs, maxModelLen));
    }

    /// <summary>The largest number from 1 to <paramref name="value"/> that fits, if smaller ones need less; 0 if none does.</summary>
    private static int Largest(int value, Func<int, bool> fits)
    {
        int low = 0, high = value;
        while (low < high)
        {
            int middle = high - (high - low) / 2;
            if (fits(middle))
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }
}
