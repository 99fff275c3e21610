namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>A stable sort whose comparison may throw, which the sorts of .NET wrap or do not promise.</summary>
internal static class Sorting
{
    /// <summary>Sorts by merging.</summary>
    public static List<T> Sort<T>(IReadOnlyList<T> items, Func<T, T, double> compare)
    {
        T[] from = [.. items];
        var to = new T[from.Length];
        for (int width = 1; width < from.Length; width *= 2)
        {
            for (int start = 0; start < from.Length; start += 2 * width)
            {
                int middle = Math.Min(start + width, from.Length), end = Math.Min(start + 2 * width, from.Length);
                for (int i = start, left = start, right = middle; i < end; i++)
                    to[i] = left < middle && (right == end || !(compare(from[right], from[left]) < 0)) ? from[left++] : from[right++];
            }
            (from, to) = (to, from);
        }
        return [.. from];
    }
}
