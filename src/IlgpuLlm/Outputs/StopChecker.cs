using System.Text;

namespace IlgpuLlm.Outputs;

/// <summary>Finds stop strings in a growing text, looking only at what new characters can complete.</summary>
internal sealed class StopChecker(IReadOnlyList<string> stop, bool includeInOutput)
{
    /// <summary>How many characters at the end of an unfinished text may belong to a stop string and are therefore not shown yet.</summary>
    public int HoldBack { get; } = includeInOutput || stop.Count == 0 ? 0 : stop.Max(s => s.Length) - 1;

    /// <summary>Looks for the stop string that appears first, cuts the text there and returns it; null if there is none.</summary>
    /// <param name="text">The text so far; cut where it ends.</param>
    /// <param name="numNew">How many of its characters are new.</param>
    public string? Check(StringBuilder text, int numNew)
    {
        if (stop.Count == 0 || numNew == 0)
            return null;
        int windowStart = Math.Max(0, text.Length - numNew - stop.Max(s => s.Length) + 1);
        string window = text.ToString(windowStart, text.Length - windowStart);
        int first = int.MaxValue;
        string? found = null;
        foreach (string candidate in stop)
        {
            // A match that ends before the new characters was seen, and passed over, before.
            int from = Math.Max(0, window.Length - numNew - candidate.Length + 1);
            int at = window.IndexOf(candidate, from, StringComparison.Ordinal);
            if (at >= 0 && at < first)
                (first, found) = (at, candidate);
        }
        if (found is not null)
            text.Length = windowStart + first + (includeInOutput ? found.Length : 0);
        return found;
    }
}
