using System.Numerics.Tensors;
using IlgpuLlm.Kernels;
using IlgpuLlm.Loading;
using IlgpuLlm.Models;

namespace IlgpuLlm.Quantization;

/// <summary>
/// Quantizes a layer, the matrices of one input after the other, each by what those before it, already rounded, make of its inputs: fits them, searches AWQ's
/// scales, rounds. What a scale multiplies is divided where the inputs come from: in norms for query, key, value, gate and up; in the value projection for the
/// output projection, where heads that share keys and values share scales; in the up projection for the down projection.
/// </summary>
internal sealed class LayerQuantizer(Backend backend, CalibrationPass pass, ModelConfig config, QuantizationFormat format)
{
    private const float LargestNorm = 60000; // within float16, which norms are written in

    private static readonly LayerInput[] Inputs = [LayerInput.Qkv, LayerInput.Output, LayerInput.GateUp, LayerInput.Down];

    /// <summary>Quantizes the next layer of the pass.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="index">Its place.</param>
    /// <param name="progress">Told how much of the layer is done, from 0 to 1.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="QuantizationException">A weight is too large.</exception>
    public QuantizedLayer Quantize(LayerWeights layer, int index, Action<double> progress, CancellationToken cancellationToken)
    {
        // Each input's measuring, fit and search, each matrix's rounding, and the way to the next layer, all counted alike.
        int numSteps = 3 * Inputs.Length + layer.Matrices.Count + 1, numDone = 0;
        void Step() => progress((double)++numDone / numSteps);
        using var exact = pass.CreateLayer(layer, index);
        using var rounded = pass.CreateLayer(layer, index);
        var codes = new Dictionary<string, QuantizedRowsBuffer>();
        var scales = new Dictionary<LayerInput, float[]>();
        float[] inputNorm = [.. layer.InputNorm], postAttentionNorm = [.. layer.PostAttentionNorm];
        var current = layer; // rounded as far as we are; scales are not in it, so that inputs stay those of the layer of floats
        foreach (var input in Inputs)
        {
            using var statistics = new InputStatistics(backend, Width(input), pass.MaxBatchTokens);
            pass.Measure(exact, rounded, input, statistics, cancellationToken);
            Step();
            var factor = new ErrorFactor(statistics.MeanProducts(), statistics.Width);
            HostMatrix[] targets = [.. layer.Of(input).Select(matrix => Refit.Fit(backend, matrix, statistics, factor))];
            Step();
            var rounding = new FeedbackRounding(factor, format);
            float[] found = ScaleSearch.Search(Magnitudes(statistics, input), targets, rounding, cancellationToken);
            Step();
            scales[input] = input switch
            {
                LayerInput.Qkv => DivideNorm(inputNorm, found),
                LayerInput.GateUp => DivideNorm(postAttentionNorm, found),
                _ => found,
            };
            foreach (var target in targets)
            {
                cancellationToken.ThrowIfCancellationRequested();
                codes[target.Module] = rounding.Quantize(target, scales[input]);
                current = current.With(Dequantize(target, codes[target.Module], scales[input]));
                Step();
            }
            pass.Load(rounded, current, index);
        }
        pass.Advance(exact, rounded, cancellationToken);
        Step();
        float[] valueScales = [.. Enumerable.Range(0, layer.Value.OutFeatures).Select(i => scales[LayerInput.Output][FirstQueryFeature(i)])];
        DivideOutputs(layer.Value, codes[layer.Value.Module], valueScales);
        DivideOutputs(layer.Up, codes[layer.Up.Module], scales[LayerInput.Down]);
        return new QuantizedLayer(layer with { InputNorm = inputNorm, PostAttentionNorm = postAttentionNorm }, [.. layer.Matrices.Select(matrix => codes[matrix.Module])]);
    }

    /// <summary>What codes stand for, scales taken out again.</summary>
    private static HostMatrix Dequantize(HostMatrix matrix, QuantizedRowsBuffer codes, float[] scales)
    {
        float[] values = new float[matrix.Values.Length];
        codes.Dequantize([], values);
        Parallel.For(0, matrix.OutFeatures, row =>
        {
            var target = values.AsSpan(row * matrix.InFeatures, matrix.InFeatures);
            TensorPrimitives.Divide<float>(target, scales, target);
        });
        return new HostMatrix(matrix.Module, matrix.OutFeatures, matrix.InFeatures, values, matrix.Bias);
    }

    /// <summary>Divides a norm's weights, rounded as they will be written. Returns what they were divided by exactly.</summary>
    private static float[] DivideNorm(float[] norm, float[] scales)
    {
        float[] exact = new float[scales.Length];
        for (int i = 0; i < norm.Length; i++)
        {
            float divided = (float)(Half)Math.Clamp(norm[i] / scales[i], -LargestNorm, LargestNorm);
            if (divided == 0)
                divided = (float)(Half)norm[i];
            exact[i] = divided == 0 ? 1 : norm[i] / divided;
            norm[i] = divided;
        }
        return exact;
    }

    /// <summary>Divides the outputs of a matrix that is rounded already: its codes stay, their scales and the bias change.</summary>
    private static void DivideOutputs(HostMatrix matrix, QuantizedRowsBuffer codes, float[] scales)
    {
        int numGroups = codes.Scales.Length / matrix.OutFeatures;
        for (int i = 0; i < codes.Scales.Length; i++)
            codes.Scales[i] = (Half)((float)codes.Scales[i] / scales[i / numGroups]);
        if (matrix.Bias is not null)
            TensorPrimitives.Divide(matrix.Bias, scales, matrix.Bias);
    }

    private int Width(LayerInput input) => input switch
    {
        LayerInput.Output => config.NumAttentionHeads * config.HeadDim,
        LayerInput.Down => config.IntermediateSize,
        _ => config.HiddenSize,
    };

    /// <summary>The mean magnitudes of inputs; of the attention's results those of heads that share a value together.</summary>
    private float[] Magnitudes(InputStatistics statistics, LayerInput input)
    {
        float[] magnitudes = statistics.MeanMagnitudes();
        int numHeads = config.NumAttentionHeads / config.NumKeyValueHeads;
        for (int i = 0; input == LayerInput.Output && i < config.NumKeyValueHeads * config.HeadDim; i++)
        {
            int first = FirstQueryFeature(i);
            float mean = Enumerable.Range(0, numHeads).Average(head => magnitudes[first + head * config.HeadDim]);
            for (int head = 0; head < numHeads; head++)
                magnitudes[first + head * config.HeadDim] = mean;
        }
        return magnitudes;
    }

    /// <summary>The first input of the output projection that an output of the value projection goes to.</summary>
    private int FirstQueryFeature(int valueFeature) =>
        valueFeature / config.HeadDim * (config.NumAttentionHeads / config.NumKeyValueHeads) * config.HeadDim + valueFeature % config.HeadDim;
}
