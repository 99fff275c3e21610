namespace IlgpuLlm.Kernels.Tests.Reference;

/// <summary>Every operation of <see cref="Backend"/>, written down plainly: one loop after the other, in double precision, on arrays.</summary>
internal static class ReferenceKernels
{
    /// <summary>x W^T + bias: x [rows, inFeatures], w [outFeatures, inFeatures] -> [rows, outFeatures].</summary>
    public static double[] Linear(float[] w, float[]? bias, float[] x, int rows, int outFeatures, int inFeatures)
    {
        var y = new double[rows * outFeatures];
        for (int r = 0; r < rows; r++)
            for (int n = 0; n < outFeatures; n++)
            {
                double sum = bias?[n] ?? 0;
                for (int k = 0; k < inFeatures; k++)
                    sum += (double)x[r * inFeatures + k] * w[n * inFeatures + k];
                y[r * outFeatures + n] = sum;
            }
        return y;
    }

    /// <summary>x / sqrt(mean(x^2) + epsilon) * weight, row by row: x [rows, width].</summary>
    public static double[] RmsNorm(double[] x, float[] weight, int rows, double epsilon)
    {
        int width = weight.Length;
        var y = new double[rows * width];
        for (int r = 0; r < rows; r++)
        {
            double sum = 0;
            for (int i = 0; i < width; i++)
                sum += x[r * width + i] * x[r * width + i];
            double scale = 1 / Math.Sqrt(sum / width + epsilon);
            for (int i = 0; i < width; i++)
                y[r * width + i] = x[r * width + i] * scale * weight[i];
        }
        return y;
    }

    /// <summary>silu(gate) * up: gateUp [rows, 2 * width] -> [rows, width].</summary>
    public static double[] SiluMul(float[] gateUp, int rows, int width)
    {
        var y = new double[rows * width];
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < width; i++)
            {
                double gate = gateUp[r * 2 * width + i];
                y[r * width + i] = gate / (1 + Math.Exp(-gate)) * gateUp[r * 2 * width + width + i];
            }
        return y;
    }

    /// <summary>Rotates one head: element i pairs with i + half. cosSin is a row of a <see cref="RotaryTable"/>.</summary>
    public static double[] Rotate(ReadOnlySpan<float> head, ReadOnlySpan<float> cosSin)
    {
        int half = head.Length / 2;
        var y = new double[head.Length];
        for (int i = 0; i < half; i++)
        {
            double cos = cosSin[i], sin = cosSin[half + i];
            y[i] = head[i] * cos - head[half + i] * sin;
            y[half + i] = head[half + i] * cos + head[i] * sin;
        }
        return y;
    }

    /// <summary>
    /// Causal attention of one whole sequence. qkv [length, qkvWidth] before the rotation, rotaryRows [length] -> [length, queryWidth].
    /// </summary>
    public static double[] Attention(AttentionShape shape, float[] qkv, float[] rotaryTable, int[] rotaryRows)
    {
        int length = rotaryRows.Length, dim = shape.HeadDim, group = shape.NumHeads / shape.NumKvHeads;
        var output = new double[length * shape.QueryWidth];
        double[] Rotated(int token, int headOffset) => Rotate(
            qkv.AsSpan(token * shape.QkvWidth + headOffset, dim), rotaryTable.AsSpan(rotaryRows[token] * dim, dim));

        for (int head = 0; head < shape.NumHeads; head++)
        {
            int keyOffset = shape.QueryWidth + head / group * dim, valueOffset = keyOffset + shape.KvWidth;
            double[][] keys = [.. Enumerable.Range(0, length).Select(t => Rotated(t, keyOffset))];
            for (int t = 0; t < length; t++)
            {
                double[] query = Rotated(t, head * dim);
                int first = shape.FirstVisible(t);
                double[] weights = [.. Enumerable.Range(first, t - first + 1).Select(p => query.Zip(keys[p], (q, k) => q * k).Sum() * shape.Scale)];
                double max = weights.Max(), sum = 0;
                for (int i = 0; i < weights.Length; i++)
                    sum += weights[i] = Math.Exp(weights[i] - max);
                for (int i = 0; i < weights.Length; i++)
                    for (int d = 0; d < dim; d++)
                        output[t * shape.QueryWidth + head * dim + d] += weights[i] / sum * qkv[(first + i) * shape.QkvWidth + valueOffset + d];
            }
        }
        return output;
    }
}
