using System.Text.Json;
using System.Text.Unicode;

namespace IlgpuLlm.Loading;

/// <summary>
/// The fields of one JSON object of a checkpoint file, read with limits: every value that has the wrong type or lies outside its range becomes a
/// <see cref="CheckpointException"/> that names file, field, value and limit. A field that is absent or null reads as null.
/// </summary>
internal sealed class JsonFields
{
    private const int MaxShownLength = 60;

    private readonly Dictionary<string, JsonElement> _values = new(StringComparer.Ordinal);
    private readonly string _prefix;

    private JsonFields(string file, string prefix, JsonElement json)
    {
        File = file;
        _prefix = prefix;
        try
        {
            // As in Python's json, the last of several fields of one name counts.
            foreach (var property in json.EnumerateObject())
                _values[property.Name] = property.Value;
        }
        catch (InvalidOperationException error) // A name with half a surrogate pair: "\ud800".
        {
            string where = prefix.Length == 0 ? "the object" : prefix.TrimEnd('.');
            throw new CheckpointException(file, $"{where}: a field's name is not valid Unicode", error);
        }
    }

    /// <summary>The file that the object comes from.</summary>
    public string File { get; }

    /// <summary>The names of the fields, as they are in the file.</summary>
    public IReadOnlyCollection<string> Names => _values.Keys;

    /// <summary>Reads a file that must hold one JSON object.</summary>
    /// <param name="file">The path.</param>
    /// <param name="maxBytes">The largest size that is read.</param>
    public static JsonFields ReadFile(string file, int maxBytes)
    {
        byte[] json;
        try
        {
            long length = new FileInfo(file).Length;
            if (length > maxBytes)
                throw new CheckpointException(file, $"the file has {length} bytes, at most {maxBytes} are read");
            json = System.IO.File.ReadAllBytes(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(file, $"cannot be read: {error.Message}", error);
        }
        return Parse(file, json);
    }

    /// <summary>Parses text that must be one JSON object.</summary>
    public static JsonFields Parse(string file, ReadOnlySpan<byte> json)
    {
        if (!Utf8.IsValid(json))
            throw new CheckpointException(file, "is not valid UTF-8");
        JsonElement root;
        try
        {
            root = JsonElement.Parse(json);
        }
        catch (JsonException error)
        {
            throw new CheckpointException(file, $"is not valid JSON: {error.Message}", error);
        }
        if (root.ValueKind != JsonValueKind.Object)
            throw new CheckpointException(file, $"must hold a JSON object, not {Show(root)}");
        return new JsonFields(file, "", root);
    }

    /// <summary>Whether the field is there, even with the value null.</summary>
    public bool Contains(string name) => _values.ContainsKey(name);

    /// <summary>Whether the field is there and is an object.</summary>
    public bool IsObject(string name) => _values.TryGetValue(name, out var value) && value.ValueKind == JsonValueKind.Object;

    /// <summary>Reads an integer.</summary>
    public int? Int(string name, int min, int max) => Get(name) is { } value ? ToInt(name, value, min, max) : null;

    /// <summary>Reads a list of integers, or one integer as a list of one; an absent field is an empty list.</summary>
    public IReadOnlyList<int> Ints(string name, int min, int max) => Get(name) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select(value => ToInt(name, value, min, max))],
        { } value => [ToInt(name, value, min, max)],
    };

    /// <summary>Reads a finite number for which <paramref name="isAllowed"/> holds; <paramref name="limit"/> says so in words.</summary>
    public double? Number(string name, Func<double, bool> isAllowed, string limit)
    {
        if (Get(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number) || !double.IsFinite(number) || !isAllowed(number))
            throw Error(name, limit);
        return number;
    }

    /// <summary>Reads true or false.</summary>
    public bool? Bool(string name) => Get(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        _ => throw Error(name, "must be true or false"),
    };

    /// <summary>Reads a string.</summary>
    public string? String(string name) => Get(name) is { } value ? ToText(name, value) : null;

    /// <summary>Reads a list of strings; an absent field is an empty list.</summary>
    public IReadOnlyList<string> Strings(string name) => Get(name) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select(value => ToText(name, value))],
        _ => throw Error(name, "must be a list of strings"),
    };

    /// <summary>Reads an object.</summary>
    public JsonFields? Object(string name) => Get(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } value => new JsonFields(File, $"{_prefix}{name}.", value),
        _ => throw Error(name, "must be an object"),
    };

    /// <summary>The error for a field whose value is not allowed: <c>file: field: value, limit</c>.</summary>
    public CheckpointException Error(string name, string limit) =>
        new(File, $"{_prefix}{name}: {(_values.TryGetValue(name, out var value) ? Show(value) : "missing")}, {limit}");

    private JsonElement? Get(string name) =>
        _values.TryGetValue(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private int ToInt(string name, JsonElement value, int min, int max) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= min && number <= max
            ? number
            : throw Error(name, $"must be an integer from {min} to {max}");

    private string ToText(string name, JsonElement value)
    {
        try
        {
            return value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Error(name, "must be a string");
        }
        catch (InvalidOperationException error) // Half a surrogate pair.
        {
            throw new CheckpointException(File, $"{_prefix}{name}: {Show(value)}, must be valid Unicode", error);
        }
    }

    private static string Show(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Object)
            return "an object";
        string text = value.GetRawText().ReplaceLineEndings(" ");
        return text.Length <= MaxShownLength ? text : text[..MaxShownLength] + "...";
    }
}
