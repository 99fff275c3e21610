using System.Text;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>
/// Turns tokens into text one after another. A character whose bytes are spread over several tokens appears with the last of them, so that what has
/// been written is final.
/// </summary>
internal abstract class TokenTextStream
{
    /// <summary>Takes a token and writes the text that is final with it, which may be none.</summary>
    public abstract void Append(int id, StringBuilder text);

    /// <summary>Ends the text: bytes that were waiting for the rest of their character are written as U+FFFD.</summary>
    public abstract void Flush(StringBuilder text);
}
