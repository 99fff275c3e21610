namespace IlgpuLlm.Benchmarking;

/// <summary>How many tokens attention sees.</summary>
/// <param name="SlidingWindow">How many tokens back; 0: all.</param>
internal readonly record struct AttentionWindow(int SlidingWindow)
{
    /// <summary>The tokens that those at positions [first, end) see, themselves included, summed up.</summary>
    public double NumSeen(int first, int end)
    {
        if (SlidingWindow == 0 || end <= SlidingWindow)
            return (double)(end - first) * (first + end + 1) / 2;
        int full = Math.Max(first, SlidingWindow); // from here on each sees a whole window
        return (double)(full - first) * (first + full + 1) / 2 + (double)(end - full) * SlidingWindow;
    }
}
