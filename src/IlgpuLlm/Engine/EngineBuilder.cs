using System.Diagnostics;
using IlgpuLlm.Execution;
using IlgpuLlm.Inputs;
using IlgpuLlm.Kernels;
using IlgpuLlm.Models;
using IlgpuLlm.Scheduling;
using Microsoft.Extensions.Logging;

namespace IlgpuLlm.Engine;

/// <summary>Reads the model's files, plans memory, loads weights and puts the engine together.</summary>
internal static partial class EngineBuilder
{
    private const ulong DummyWeightsSeed = 0;

    /// <summary>Describes what <see cref="Build"/> would make, without loading weights.</summary>
    public static EngineInfo Inspect(EngineOptions options)
    {
        var model = ModelFiles.Read(options);
        using var backend = BackendFactory.Create(options);
        return Describe(model, backend, Plan(model, backend, model.ReadLayerForms(options), options));
    }

    /// <summary>Makes a loaded engine.</summary>
    public static LoadedEngine Build(EngineOptions options, ILogger logger)
    {
        long start = Stopwatch.GetTimestamp();
        var (model, backend) = Open(options);
        try
        {
            var forms = model.ReadLayerForms(options);
            var plan = Plan(model, backend, forms, options);
            LogPlan(logger, backend.Device, backend.Description, plan);
            if (plan.MaxModelLen < plan.ModelMaxLen && options.MaxModelLen is null)
                LogReducedLength(logger, plan.MaxModelLen, plan.ModelMaxLen);
            if (forms.SelectMany(layer => layer.All).Count(form => form.IsDequantized) is > 0 and var numDequantized)
                LogDequantized(logger, numDequantized, 4 * forms.Length);
            var runner = CreateRunner(model, backend, forms, plan, options);
            var info = Describe(model, backend, plan) with { LoadSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds };
            LogLoaded(logger, model.Folder.FullPath, info.LoadSeconds);
            return new LoadedEngine(CreateCore(runner, plan), CreateInputProcessor(model, plan, options), model.Tokenizer, model.EosTokenIds,
                model.DefaultSampling, info);
        }
        catch
        {
            backend.Dispose();
            throw;
        }
    }

    /// <summary>Reads the model's files, tokenizer included, while the device is being opened: half a second each.</summary>
    private static (ModelFiles Model, Backend Backend) Open(EngineOptions options)
    {
        var opening = Task.Run(() => BackendFactory.Create(options));
        ModelFiles model;
        try
        {
            model = ModelFiles.Read(options);
        }
        catch
        {
            // What is wrong with the model is said first, whether or not the device opens.
            opening.ContinueWith(static task => task.Result.Dispose(), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
            throw;
        }
        return (model, opening.GetAwaiter().GetResult());
    }

    private static MemoryPlan Plan(ModelFiles model, Backend backend, LayerForms[] forms, EngineOptions options)
    {
        try
        {
            return MemoryPlanner.Plan(backend, model.Config, model.Description, model.Shape, forms, options);
        }
        catch (NotSupportedException e) when (model.Quantization is not null)
        {
            throw new InvalidOptionException("quantization", e.Message);
        }
    }

    private static ModelRunner CreateRunner(ModelFiles model, Backend backend, LayerForms[] forms, MemoryPlan plan, EngineOptions options)
    {
        var (config, maxTokens, maxSeqs) = (model.Config, plan.MaxNumBatchedTokens, plan.MaxNumSeqs);
        try
        {
            var llama = new LlamaModel(backend, config, model.Description, model.Shape, forms, maxTokens, maxSeqs);
            using (var source = model.OpenWeights(options, DummyWeightsSeed))
                llama.Load(source);
            backend.ReserveWorkspace(new WorkspaceShape(llama.Shape, maxTokens, maxSeqs, plan.MaxModelLen));
            var cache = new KvCache(backend, llama.Shape, config.NumHiddenLayers, checked((int)plan.NumBlocks), plan.BlockSize);
            var rotary = new RotaryTableBuilder(backend, new RotaryEmbedding(config), plan.MaxModelLen, maxTokens, config.HeadDim);
            var batch = new InputBatch(backend, maxTokens, maxSeqs, maxSeqs, plan.MaxModelLen, plan.BlockSize);
            var sampling = backend.SupportsSampling ? new DeviceSampling(backend, config.VocabSize, maxSeqs, plan.MaxModelLen) : null;
            var graphs = backend.SupportsGraphs && sampling is not null
                ? new DecodeGraphs(backend, llama, cache.Layers, rotary.Table, sampling, Math.Min(maxSeqs, maxTokens), plan.MaxModelLen, plan.BlockSize, options.Progress)
                : null;
            return new ModelRunner(backend, llama, cache, rotary, batch, sampling, graphs, options.AsyncScheduling, maxSeqs, maxSeqs, config.VocabSize);
        }
        catch (DeviceOutOfMemoryException e)
        {
            // Memory went to something else between planning and allocation.
            throw new ModelDoesNotFitException(plan, e.Message);
        }
        catch (NotSupportedException e) when (model.Quantization is not null)
        {
            throw new InvalidOptionException("quantization", e.Message);
        }
    }

    private static EngineCore CreateCore(IModelRunner runner, MemoryPlan plan)
    {
        var kvCache = new KvCacheManager(new BlockPool((int)plan.NumBlocks), plan.BlockSize);
        return new EngineCore(new Scheduler(new SchedulerConfig(plan.MaxNumBatchedTokens, plan.MaxNumSeqs, plan.MaxModelLen), kvCache), runner);
    }

    private static InputProcessor CreateInputProcessor(ModelFiles model, MemoryPlan plan, EngineOptions options) => new(
        new ModelLimits(model.Config.VocabSize, plan.MaxModelLen, plan.ModelMaxLen, plan.NumCacheTokens), model.Tokenizer, model.DefaultSampling, options.Seed);

    private static EngineInfo Describe(ModelFiles model, Backend backend, MemoryPlan plan)
    {
        var (embedding, output) = LlamaModel.TableByteLengths(backend, model.Config, model.Description, model.Shape);
        return new EngineInfo
        {
            ModelFolder = model.Folder.FullPath,
            Config = model.Config,
            GenerationConfig = model.Generation,
            NumParameters = LlamaModel.CountParameters(model.Config, model.Description),
            DType = model.DType,
            KvCacheDType = model.KvCacheDType,
            Quantization = model.Quantization?.Format,
            UsesTf32 = model.DType == ElementType.F32 && backend.MultipliesTf32,
            IsBatchInvariant = backend.IsBatchInvariant,
            Device = backend.Device,
            DeviceDescription = backend.Description,
            Memory = plan,
            WeightBytesPerStep = plan.WeightBytes - (output > 0 ? embedding : 0),
        };
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Device} ({Description}): {Plan}")]
    private static partial void LogPlan(ILogger logger, string device, string description, MemoryPlan plan);

    [LoggerMessage(Level = LogLevel.Warning, Message = "max-model-len is {MaxModelLen}, not the model's {ModelMaxLen}: the KV cache holds no more")]
    private static partial void LogReducedLength(ILogger logger, int maxModelLen, int modelMaxLen);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "{Count} of {Total} matrices are dequantised: g_idx differs between parts (q, k, v; gate, up) that are computed as one")]
    private static partial void LogDequantized(ILogger logger, int count, int total);

    [LoggerMessage(Level = LogLevel.Information, Message = "loaded {Model} in {Seconds:F2} s")]
    private static partial void LogLoaded(ILogger logger, string model, double seconds);
}
