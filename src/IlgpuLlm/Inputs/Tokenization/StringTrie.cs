namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>A set of strings, each with a number, that finds the longest one at the start of a text.</summary>
internal sealed class StringTrie
{
    private readonly Node _root = new();

    /// <summary>The first characters of all strings: where none of them stands, no string starts.</summary>
    public IEnumerable<char> FirstChars => _root.Children?.Keys ?? Enumerable.Empty<char>();

    /// <summary>Adds a string; the last one added wins among equal ones.</summary>
    /// <param name="text">Not empty.</param>
    /// <param name="value">Not negative.</param>
    public void Add(string text, int value)
    {
        Node node = _root;
        foreach (char c in text)
        {
            node.Children ??= [];
            if (!node.Children.TryGetValue(c, out Node? next))
                node.Children.Add(c, next = new Node());
            node = next;
        }
        node.Value = value;
    }

    /// <summary>The length of the longest string that <paramref name="text"/> starts with, or 0.</summary>
    public int LongestMatch(ReadOnlySpan<char> text, out int value)
    {
        value = -1;
        int length = 0;
        Node? node = _root;
        for (int i = 0; i < text.Length && node.Children is not null && node.Children.TryGetValue(text[i], out node); i++)
        {
            if (node.Value < 0)
                continue;
            value = node.Value;
            length = i + 1;
        }
        return length;
    }

    private sealed class Node
    {
        public Dictionary<char, Node>? Children { get; set; }

        public int Value { get; set; } = -1;
    }
}
