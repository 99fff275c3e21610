namespace IlgpuLlm.Kernels;

public abstract partial class Backend
{
    /// <summary>The words of a result of <see cref="Sample"/>.</summary>
    public const int SampledWidth = 2;

    /// <summary>Whether <see cref="Sample"/> and the operations around it run on this device, so that logits need not go to the host.</summary>
    public virtual bool SupportsSampling => false;

    /// <summary>
    /// Chooses a token from each row of logits, in the order: forbidden tokens, penalties, temperature, min-p, top-k, top-p, draw. The draw is the token of the
    /// largest scaled logit + Gumbel variate; the variates are those of <see cref="Philox"/>.
    /// </summary>
    /// <param name="logits">F32, [numRows, vocabSize]; rows with penalties or forbidden tokens are overwritten.</param>
    /// <param name="batch">The rows' parameters.</param>
    /// <param name="sampled">I32, [any, 2]: at each row's <see cref="SamplingRow.Output"/> the token and 0, or, if the largest logit is not finite, -1 - its id and its bits.</param>
    public virtual void Sample(DeviceBuffer logits, SamplingBatch batch, DeviceBuffer sampled) => throw NoSampling();

    /// <summary>Sets a row of token counts from a sequence: see <see cref="SamplingBatch.TokenCounts"/>.</summary>
    /// <param name="counts">I32, [any, vocabSize].</param>
    /// <param name="vocabSize">Tokens in the vocabulary.</param>
    /// <param name="row">The row of the counts.</param>
    /// <param name="tokenIds">I32, [numTokens], below the vocabulary's size.</param>
    /// <param name="numPromptTokens">How many of them are the prompt.</param>
    /// <param name="numTokens">Prompt and output.</param>
    public virtual void CountTokens(DeviceBuffer counts, int vocabSize, int row, DeviceBuffer tokenIds, int numPromptTokens, int numTokens) => throw NoSampling();

    /// <summary>Replaces token ids below 0 by chosen tokens: -1 - i by the token of result i (0 where that is an error).</summary>
    /// <param name="tokenIds">I32, [numTokens]; updated.</param>
    /// <param name="sampled">I32, [any, 2]: results of <see cref="Sample"/>.</param>
    /// <param name="numTokens">Ids.</param>
    public virtual void ResolveTokens(DeviceBuffer tokenIds, DeviceBuffer sampled, int numTokens) => throw NoSampling();

    /// <summary>Waits for the operations before it and copies integers from the device.</summary>
    public virtual void Download(DeviceBuffer source, Span<int> destination) => throw NoSampling();

    /// <summary>Host memory for integers that are copied to the device, zeroed.</summary>
    public virtual UploadBuffer CreateUpload(int length) => new ImmediateUpload(this, length);

    /// <summary>Host memory for integers that are copied from the device.</summary>
    public virtual DownloadBuffer CreateDownload(int length) => new ImmediateDownload(this, length);

    private NotSupportedException NoSampling() => new($"{Device} does not sample");
}
