using System.Numerics.Tensors;

namespace IlgpuLlm.Sampling;

/// <summary>Log-probabilities of a row of logits, before temperature and filters. Runs only for requests that ask for them.</summary>
internal static class LogprobsCalculator
{
    /// <summary>The log-probabilities of the chosen token and of the likeliest <paramref name="count"/> tokens (-1: all).</summary>
    public static PositionLogprobs Calculate(ReadOnlySpan<float> logits, int chosen, int count)
    {
        double logSum = LogSumExp(logits);
        int rank = 1;
        for (int id = 0; id < logits.Length; id++)
        {
            if (logits[id] > logits[chosen])
                rank++;
        }
        int numTop = count < 0 ? logits.Length : Math.Min(count, logits.Length);
        var top = new Logprob[numTop];
        if (numTop > 0)
        {
            float[] keys = new float[logits.Length];
            int[] ids = new int[logits.Length];
            for (int id = 0; id < ids.Length; id++)
                (keys[id], ids[id]) = (-logits[id], id);
            Array.Sort(keys, ids);
            for (int i = 0; i < numTop; i++)
                top[i] = new Logprob(ids[i], (float)(-keys[i] - logSum), i + 1);
        }
        return new PositionLogprobs(new Logprob(chosen, (float)(logits[chosen] - logSum), rank), top);
    }

    /// <summary>The logarithm of the sum of exponentials of a row; not finite where the row is not.</summary>
    public static double LogSumExp(ReadOnlySpan<float> logits)
    {
        float max = TensorPrimitives.Max(logits);
        double sum = 0;
        foreach (float logit in logits)
            sum += Math.Exp((double)logit - max);
        return max + Math.Log(sum);
    }
}
