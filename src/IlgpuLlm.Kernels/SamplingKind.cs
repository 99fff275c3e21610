namespace IlgpuLlm.Kernels;

/// <summary>What <see cref="Backend.Sample"/> does with a row of logits.</summary>
public enum SamplingKind
{
    /// <summary>Nothing: the row costs nothing and changes nothing.</summary>
    None,

    /// <summary>Takes the largest logit; of equal ones that of the lowest id.</summary>
    Greedy,

    /// <summary>Draws from the filtered distribution.</summary>
    Random,
}
