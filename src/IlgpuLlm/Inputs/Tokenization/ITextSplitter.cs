namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>A step that cuts text into words, across which nothing merges.</summary>
internal interface ITextSplitter
{
    /// <summary>Cuts text[start..end]; no word is empty, and together they are all of it.</summary>
    void Split(string text, int start, int end, List<(int Start, int End)> words);
}
