namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>A step that changes text before it is cut into words.</summary>
internal interface ITextRewriter
{
    /// <summary>Changes a text, which is not empty.</summary>
    /// <param name="text">The text.</param>
    /// <param name="isFirst">Whether it stands at the very start of the prompt.</param>
    string Rewrite(string text, bool isFirst);
}
