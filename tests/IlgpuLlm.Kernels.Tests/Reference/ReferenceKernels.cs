using System.Numerics;
using System.Numerics.Tensors;

namespace IlgpuLlm.Kernels.Tests.Reference;

/// <summary>
/// Every operation of <see cref="Backend"/>, written down plainly: in double precision, on arrays. Rows of products and heads of attention are computed side
/// by side and in vectors: tests of a GPU's sizes would otherwise wait for them.
/// </summary>
internal static class ReferenceKernels
{
    /// <summary>x W^T + bias: x [rows, inFeatures], w [outFeatures, inFeatures] -> [rows, outFeatures].</summary>
    public static double[] Linear(float[] w, float[]? bias, float[] x, int rows, int outFeatures, int inFeatures)
    {
        var y = new double[rows * outFeatures];
        Parallel.For(0, rows, r =>
        {
            for (int n = 0; n < outFeatures; n++)
                y[r * outFeatures + n] = (bias?[n] ?? 0) + Dot(x.AsSpan(r * inFeatures, inFeatures), w.AsSpan(n * inFeatures, inFeatures));
        });
        return y;
    }

    /// <summary>The sum of products.</summary>
    public static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        Vector<double> even = default, odd = default;
        int i = 0;
        for (; i <= a.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(a[i..]), out var a0, out var a1);
            Vector.Widen(new Vector<float>(b[i..]), out var b0, out var b1);
            even += a0 * b0;
            odd += a1 * b1;
        }
        double sum = Vector.Sum(even + odd);
        for (; i < a.Length; i++)
            sum += (double)a[i] * b[i];
        return sum;
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
        double[] exact = TestTensors.Exact(qkv);
        Parallel.For(0, rotaryRows.Length, t =>
        {
            for (int head = 0; head < shape.NumHeads + shape.NumKvHeads; head++)
            {
                int at = t * shape.QkvWidth + head * shape.HeadDim;
                Rotate(qkv.AsSpan(at, shape.HeadDim), rotaryTable.AsSpan(rotaryRows[t] * shape.HeadDim, shape.HeadDim)).CopyTo(exact, at);
            }
        });
        return Attention(shape, exact, 0);
    }

    /// <summary>The same of the tokens from <paramref name="firstToken"/> on, of rows that are rotated: [length, qkvWidth] -> [length - firstToken, queryWidth].</summary>
    public static double[] Attention(AttentionShape shape, double[] rotated, int firstToken)
    {
        int length = rotated.Length / shape.QkvWidth, dim = shape.HeadDim, group = shape.NumHeads / shape.NumKvHeads, count = length - firstToken;
        var output = new double[count * shape.QueryWidth];
        Parallel.For(0, count * shape.NumHeads, i =>
        {
            int token = firstToken + i / shape.NumHeads, head = i % shape.NumHeads, first = shape.FirstVisible(token);
            ReadOnlySpan<double> Row(int t, int offset) => rotated.AsSpan(t * shape.QkvWidth + offset, dim);
            int keyOffset = shape.QueryWidth + head / group * dim;
            ReadOnlySpan<double> query = Row(token, head * dim);
            var weights = new double[token - first + 1];
            for (int p = 0; p < weights.Length; p++)
                weights[p] = TensorPrimitives.Dot(query, Row(first + p, keyOffset)) * shape.Scale;
            double max = weights.Max(), sum = 0;
            for (int p = 0; p < weights.Length; p++)
                sum += weights[p] = Math.Exp(weights[p] - max);
            Span<double> result = output.AsSpan(i * dim, dim);
            for (int p = 0; p < weights.Length; p++)
                TensorPrimitives.MultiplyAdd(Row(first + p, keyOffset + shape.KvWidth), weights[p] / sum, result, result);
        });
        return output;
    }
}
