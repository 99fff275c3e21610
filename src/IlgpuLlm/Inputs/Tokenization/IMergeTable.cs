namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Says which neighbouring symbols merge, and in what order.</summary>
internal interface IMergeTable
{
    /// <summary>Whether any merge, of these two neighbours or of what they grow to, can ever reach across the boundary between them.</summary>
    bool CanMeet(in BpeSymbol left, in BpeSymbol right);

    /// <summary>Looks a pair up.</summary>
    /// <param name="left">The left symbol.</param>
    /// <param name="right">The symbol after it.</param>
    /// <param name="priority">The merge's place in the order: the smallest goes first; among equal ones the leftmost.</param>
    /// <param name="mergedId">The id of the merged token.</param>
    bool TryMerge(in BpeSymbol left, in BpeSymbol right, out int priority, out int mergedId);
}
