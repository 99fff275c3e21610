using System.Diagnostics;
using System.Runtime.ExceptionServices;
using IlgpuLlm.Engine;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Quantization;

/// <summary>
/// Quantizes a model of floats to a folder that this and other engines load: the matrices of the layers to 4 or 8 bits, embedding, norms and output layer as
/// float16. A layer at a time is in memory; only texts for the calibration, where none is given, are made by the whole model.
/// </summary>
public static class ModelQuantizer
{
    private const double CalibrationShare = 0.15; // of the time, about

    /// <summary>Quantizes.</summary>
    /// <param name="options">What, how and where to.</param>
    /// <param name="cancellationToken">Ends it; nothing is left in the folder.</param>
    /// <exception cref="InvalidOptionException">An option is not valid.</exception>
    /// <exception cref="CheckpointException">The model's folder cannot be used.</exception>
    /// <exception cref="QuantizationException">The model cannot be quantized so, or the folder not written.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static QuantizationResult Run(QuantizeOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        long start = Stopwatch.GetTimestamp();
        QuantizedFolder.CheckEmpty(options.Output);
        var files = ModelFiles.Read(new EngineOptions { Model = options.Model });
        int intermediateSize = CheckShape(files, options);
        using var source = new FloatCheckpoint(files.Folder.FullPath, files.Config, files.Description);
        try
        {
            using var folder = new QuantizedFolder(options, files, intermediateSize);
            int numTokens = Run(options, files with { Config = files.Config with { IntermediateSize = intermediateSize } }, source, folder, cancellationToken);
            folder.Finish();
            return new QuantizationResult(folder.ByteLength, numTokens, intermediateSize - files.Config.IntermediateSize, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        catch (AggregateException e) when (e.InnerException is IlgpuLlmException inner)
        {
            // Of one of the threads that share a matrix.
            ExceptionDispatchInfo.Throw(inner);
            throw;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new QuantizationException($"{options.Output}: cannot be written: {e.Message}", e);
        }
    }

    private static int Run(QuantizeOptions options, ModelFiles files, FloatCheckpoint source, QuantizedFolder folder, CancellationToken cancellationToken)
    {
        var config = files.Config;
        double layersFrom = 0;
        using var calibration = options.Method == "awq" ? Calibration.Open(options, files, source, ReportCalibration, cancellationToken) : null;
        folder.WriteTable(source, FloatCheckpoint.Embedding, config.VocabSize, config.HiddenSize);
        for (int i = 0; i < config.NumHiddenLayers; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var weights = source.ReadLayer(i, config.IntermediateSize);
            using var layer = calibration?.Quantize(weights, i, share => ReportLayers(i + share), cancellationToken) ?? QuantizedLayer.Round(weights, matrix => Round(matrix, options.Format));
            folder.WriteLayer(i, layer);
            ReportLayers(i + 1);
        }
        folder.WriteVector(FloatCheckpoint.FinalNorm, source.ReadVector(FloatCheckpoint.FinalNorm));
        if (!files.Description.TieWordEmbeddings)
            folder.WriteTable(source, FloatCheckpoint.OutputLayer, config.VocabSize, config.HiddenSize);
        return calibration?.NumTokens ?? 0;

        void ReportLayers(double numDone) => options.Progress?.Report(layersFrom + (1 - layersFrom) * numDone / config.NumHiddenLayers);

        void ReportCalibration(double share)
        {
            layersFrom = CalibrationShare;
            options.Progress?.Report(share * CalibrationShare);
        }
    }

    private static QuantizedRowsBuffer Round(HostMatrix matrix, QuantizationFormat format) =>
        format.Bits == 8 ? Rounding.ToNearestSymmetric(matrix, format) : Rounding.ToNearest(matrix, format);

    /// <summary>Checks that the layout holds the model's matrices. Returns the width of the MLP, made a multiple of the group size: zeros change nothing.</summary>
    private static int CheckShape(ModelFiles files, QuantizeOptions options)
    {
        var config = files.Config;
        if (config.Quantization is { } quantization)
        {
            throw new QuantizationException(
                $"{files.Folder.FullPath}: is quantized already ({quantization.MethodName} of {quantization.Format.Bits} bits), must be a checkpoint of floats");
        }
        int perWord = 32 / options.Bits, group = options.GroupSize == QuantizationFormat.WholeRow ? perWord : options.GroupSize;
        int queryWidth = config.NumAttentionHeads * config.HeadDim, kvWidth = config.NumKeyValueHeads * config.HeadDim;
        Require(config.HiddenSize, group, "hidden_size");
        Require(queryWidth, group, "the width of all heads");
        Require(kvWidth, perWord, "the width of all key and value heads");
        return (config.IntermediateSize + group - 1) / group * group;

        void Require(int width, int unit, string what)
        {
            if (width % unit != 0)
            {
                string why = unit == options.GroupSize ? "the group size" : $"{perWord}, the codes of a word";
                throw new QuantizationException($"{files.Folder.ConfigFile}: {what}: {width}, must be a multiple of {(unit == options.GroupSize ? $"{unit}, {why}" : why)}");
            }
        }
    }
}
