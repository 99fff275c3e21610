using System.Text.Json;

namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>A value in a JSON file that knows where it stands, so that every error names the file, the field and what was found.</summary>
internal readonly struct JsonField
{
    private readonly JsonElement _element;
    private readonly string _file;
    // The path is put together only when it is needed: a vocabulary has some 100,000 members.
    private readonly string _parent;
    private readonly string? _name;
    private readonly int _index;

    private JsonField(JsonElement element, string file, string parent, string? name, int index = 0) =>
        (_element, _file, _parent, _name, _index) = (element, file, parent, name, index);

    /// <summary>The root of a document; valid while the document is.</summary>
    public static JsonField Root(JsonDocument document, string file) => new(document.RootElement, file, "", "");

    /// <summary>Parses a file's bytes.</summary>
    /// <exception cref="CheckpointException">They are no JSON.</exception>
    public static JsonDocument Parse(ReadOnlyMemory<byte> bytes, string file)
    {
        try
        {
            return JsonDocument.Parse(bytes);
        }
        catch (JsonException e)
        {
            throw new CheckpointException(file, $"malformed JSON at line {e.LineNumber + 1}, byte {e.BytePositionInLine}", e);
        }
    }

    /// <summary>Whether the value is a string.</summary>
    public bool IsString => _element.ValueKind == JsonValueKind.String;

    /// <summary>Whether the value is an array.</summary>
    public bool IsArray => _element.ValueKind == JsonValueKind.Array;

    /// <summary>Whether the value is an object.</summary>
    public bool IsObject => _element.ValueKind == JsonValueKind.Object;

    /// <summary>A member that must be there.</summary>
    public JsonField this[string name] => Optional(name) ?? throw Error($"lacks \"{name}\"");

    /// <summary>A member, or null where it is absent or <c>null</c>.</summary>
    public JsonField? Optional(string name)
    {
        if (_element.ValueKind != JsonValueKind.Object)
            throw Unexpected("an object");
        try
        {
            if (!_element.TryGetProperty(name, out JsonElement member) || member.ValueKind == JsonValueKind.Null)
                return null;
            return new JsonField(member, _file, Path, name);
        }
        catch (InvalidOperationException e)
        {
            // It compares with other members' names too, and one of them has half a surrogate pair.
            throw InvalidName(Path, e);
        }
    }

    /// <summary>The string.</summary>
    public string String()
    {
        if (_element.ValueKind != JsonValueKind.String)
            throw Unexpected("a string");
        try
        {
            return _element.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new CheckpointException(_file, $"{Path}: the string is not valid Unicode", e);
        }
    }

    /// <summary>The number.</summary>
    public int Int32() =>
        _element.ValueKind == JsonValueKind.Number && _element.TryGetInt32(out int value) ? value : throw Unexpected("a 32-bit integer");

    /// <summary>The truth value.</summary>
    public bool Bool() => _element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Unexpected("true or false"),
    };

    /// <summary>The truth value of a member, or a default where it is absent or <c>null</c>.</summary>
    public bool Bool(string name, bool absent) => Optional(name)?.Bool() ?? absent;

    /// <summary>The number of elements of the array.</summary>
    public int Count => IsArray ? _element.GetArrayLength() : throw Unexpected("an array");

    /// <summary>The elements of the array.</summary>
    public IEnumerable<JsonField> Items()
    {
        if (_element.ValueKind != JsonValueKind.Array)
            throw Unexpected("an array");
        string path = Path;
        int index = 0;
        foreach (JsonElement item in _element.EnumerateArray())
            yield return new JsonField(item, _file, path, null, index++);
    }

    /// <summary>The members of the object.</summary>
    public IEnumerable<KeyValuePair<string, JsonField>> Members()
    {
        if (_element.ValueKind != JsonValueKind.Object)
            throw Unexpected("an object");
        string path = Path;
        foreach (JsonProperty member in _element.EnumerateObject())
        {
            string name;
            try
            {
                name = member.Name;
            }
            catch (InvalidOperationException e)
            {
                throw InvalidName(path, e);
            }
            yield return new(name, new JsonField(member.Value, _file, path, name));
        }
    }

    /// <summary>An error about this value.</summary>
    public CheckpointException Error(string problem) => new(_file, Path.Length == 0 ? problem : $"{Path}: {problem}");

    /// <summary>A text for a message: quoted and not too long.</summary>
    public static string Show(string text) => text.Length <= 60 ? $"\"{text}\"" : $"\"{text.AsSpan(0, 60)}...\"";

    private string Path => _name is null ? $"{_parent}[{_index}]" : _parent.Length == 0 ? _name : $"{_parent}.{_name}";

    private CheckpointException InvalidName(string path, Exception cause) =>
        new(_file, $"{(path.Length == 0 ? "the object" : path)}: a member's name is not valid Unicode", cause);

    private CheckpointException Unexpected(string expected) => Error($"expected {expected}, found {Found()}");

    private string Found() => _element.ValueKind switch
    {
        JsonValueKind.String => Show(_element.GetRawText().Trim('"')),
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        _ => Show(_element.GetRawText()).Trim('"'),
    };
}
