using IlgpuLlm.Engine;
using IlgpuLlm.Execution;
using IlgpuLlm.Kernels;

namespace IlgpuLlm.Quantization;

/// <summary>The device and the sequences that layer after layer is quantized by.</summary>
internal sealed class Calibration : IDisposable
{
    private readonly Backend _backend;
    private readonly CalibrationPass _pass;
    private readonly LayerQuantizer _quantizer;

    private Calibration(Backend backend, ModelFiles files, FloatCheckpoint source, IReadOnlyList<int[]> sequences, QuantizationFormat format)
    {
        _backend = backend;
        _pass = new CalibrationPass(backend, files.Config, files.Description, sequences, source.ReadEmbedding);
        _quantizer = new LayerQuantizer(backend, _pass, files.Config, format);
        NumTokens = sequences.Sum(sequence => sequence.Length);
    }

    /// <summary>The tokens that inputs are measured on.</summary>
    public int NumTokens { get; }

    /// <summary>Reads the calibration's sequences and opens the device.</summary>
    /// <exception cref="QuantizationException">There are too few tokens.</exception>
    /// <exception cref="InvalidOptionException">There is no such device.</exception>
    public static Calibration Open(QuantizeOptions options, ModelFiles files, FloatCheckpoint source, Action<double> progress, CancellationToken cancellationToken)
    {
        var sequences = CalibrationText.Read(options, files, progress, cancellationToken);
        progress(1);
        var backend = BackendFactory.Create(options.Device, options.NumThreads);
        try
        {
            return new Calibration(backend, files, source, sequences, options.Format);
        }
        catch
        {
            backend.Dispose();
            throw;
        }
    }

    /// <summary>Quantizes the next layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="index">Its place.</param>
    /// <param name="progress">Told how much of the layer is done, from 0 to 1.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public QuantizedLayer Quantize(LayerWeights layer, int index, Action<double> progress, CancellationToken cancellationToken) =>
        _quantizer.Quantize(layer, index, progress, cancellationToken);

    public void Dispose()
    {
        _pass.Dispose();
        _backend.Dispose();
    }
}
