namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>A token that is found in the text before the model sees it, with Hugging Face's flags.</summary>
/// <param name="Id">The token's id.</param>
/// <param name="Content">The text that stands for it.</param>
/// <param name="Special">It steers the model (BOS, EOS, role marks): Decode can skip it, Encode can leave it unparsed.</param>
/// <param name="LStrip">White space before it belongs to it.</param>
/// <param name="RStrip">White space after it belongs to it.</param>
/// <param name="SingleWord">It is found only where no letter, digit or underscore touches it.</param>
/// <param name="Normalized">It is looked for in the normalized text, its content normalized too.</param>
internal sealed record AddedToken(
    int Id,
    string Content,
    bool Special = true,
    bool LStrip = false,
    bool RStrip = false,
    bool SingleWord = false,
    bool Normalized = false);
