using System.Text.Json;
using System.Text.Unicode;

namespace IlgpuLlm.Loading;

/// <summary>
/// Parses and checks the header of a safetensors file: a JSON object {name: {dtype, shape, data_offsets}}, with an optional <c>__metadata__</c>.
/// As in the reference implementation, tensors must cover the data exactly: no overlap, no hole, nothing behind the last one.
/// </summary>
internal static class SafetensorsHeader
{
    /// <summary>Parses the JSON without copying it: memory is taken for the tensors found, never for sizes that the file claims.</summary>
    /// <param name="file">The file, for messages.</param>
    /// <param name="json">The header's text.</param>
    /// <param name="dataLength">The bytes that follow the header.</param>
    /// <exception cref="CheckpointException">Anything is malformed or inconsistent.</exception>
    public static Dictionary<string, TensorInfo> Parse(string file, ReadOnlySpan<byte> json, long dataLength)
    {
        if (!Utf8.IsValid(json))
            throw new CheckpointException(file, "header: is not valid UTF-8");
        Dictionary<string, TensorInfo> tensors;
        try
        {
            var reader = new Utf8JsonReader(json);
            tensors = ReadTensors(file, ref reader, dataLength);
            reader.Read(); // Throws if anything but white space follows.
        }
        catch (JsonException error)
        {
            throw new CheckpointException(file, $"header: is not valid JSON: {error.Message}", error);
        }
        CheckCoverage(file, tensors.Values, dataLength);
        return tensors;
    }

    private static Dictionary<string, TensorInfo> ReadTensors(string file, ref Utf8JsonReader reader, long dataLength)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new CheckpointException(file, "header: must be a JSON object");
        var tensors = new Dictionary<string, TensorInfo>(StringComparer.Ordinal);
        bool hasMetadata = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = ReadText(file, "header: a tensor's name", ref reader);
            reader.Read();
            string what = name == "__metadata__" ? name : $"tensor {MessageText.Quote(name)}";
            if (reader.TokenType != JsonTokenType.StartObject)
                throw new CheckpointException(file, $"header: {what}: must be an object");
            if (name == "__metadata__" ? hasMetadata : tensors.ContainsKey(name))
                throw new CheckpointException(file, $"header: {what}: is there twice, must be unique");
            if (name == "__metadata__")
            {
                hasMetadata = true;
                reader.Skip();
            }
            else
            {
                tensors.Add(name, ReadTensor(file, name, what, ref reader, dataLength));
            }
        }
        return tensors;
    }

    private static TensorInfo ReadTensor(string file, string name, string what, ref Utf8JsonReader reader, long dataLength)
    {
        TensorType? type = null;
        List<long>? shape = null;
        List<long>? offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string field = ReadText(file, $"{what}: a field's name", ref reader);
            reader.Read();
            switch (field)
            {
                case "dtype":
                    string spelling = ReadText(file, $"{what}: dtype", ref reader);
                    type = TensorType.Find(spelling)
                        ?? throw new CheckpointException(file, $"{what}: dtype: {MessageText.Quote(spelling)}, must be one of {TensorType.Names}");
                    break;
                case "shape":
                    shape = ReadNumbers(file, $"{what}: shape", ref reader);
                    break;
                case "data_offsets":
                    offsets = ReadNumbers(file, $"{what}: data_offsets", ref reader);
                    break;
                default:
                    reader.Skip();
                    break;
            }
        }
        if (type is null || shape is null || offsets is null)
            throw new CheckpointException(file, $"{what}: {(type is null ? "dtype" : shape is null ? "shape" : "data_offsets")}: missing");
        if (offsets.Count != 2)
            throw new CheckpointException(file, $"{what}: data_offsets: {offsets.Count} numbers, must be 2");
        (long begin, long end) = (offsets[0], offsets[1]);
        if (begin > end || end > dataLength)
            throw new CheckpointException(file, $"{what}: data_offsets: [{begin}, {end}], must be a range within the file's {dataLength} bytes of data");
        if (ByteLength(shape, type.Bits) is not { } size)
            throw new CheckpointException(file, $"{what}: shape: {TensorInfo.FormatShape(shape)} of {type.Name}, must be whole bytes below 2^63");
        if (size != end - begin)
        {
            string problem = $"data_offsets: [{begin}, {end}], must span the {size} bytes of {type.Name} {TensorInfo.FormatShape(shape)}";
            throw new CheckpointException(file, $"{what}: {problem}");
        }
        return new TensorInfo(name, type, shape, begin, size);
    }

    /// <summary>The bytes of a tensor; null where they do not fit 63 bits or are not whole.</summary>
    private static long? ByteLength(List<long> shape, int elementBits)
    {
        Int128 bits = elementBits;
        foreach (long dimension in shape)
        {
            // The product of 66 and 63 bits may not fit Int128: compare by division.
            if (dimension != 0 && bits > ((Int128)long.MaxValue * 8) / dimension)
                return null;
            bits *= dimension;
        }
        return bits % 8 == 0 ? (long)(bits / 8) : null;
    }

    private static void CheckCoverage(string file, IEnumerable<TensorInfo> tensors, long dataLength)
    {
        long covered = 0;
        TensorInfo? previous = null;
        foreach (var tensor in tensors.OrderBy(tensor => tensor.Begin).ThenBy(tensor => tensor.End))
        {
            if (tensor.Begin != covered)
            {
                string neighbour = previous is null ? "the header" : $"tensor {MessageText.Quote(previous.Name)}";
                string what = $"tensor {MessageText.Quote(tensor.Name)}: data_offsets: [{tensor.Begin}, {tensor.End}]";
                string problem = tensor.Begin < covered ? "overlaps" : "leaves a hole after";
                throw new CheckpointException(file, $"{what} {problem} {neighbour}, which ends at {covered}");
            }
            covered = tensor.End;
            previous = tensor;
        }
        if (covered != dataLength)
            throw new CheckpointException(file, $"tensors cover {covered} bytes of data, must be all of the {dataLength} in the file");
    }

    private static List<long> ReadNumbers(string file, string what, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw new CheckpointException(file, $"{what}: must be a list of integers");
        var numbers = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
                throw new CheckpointException(file, $"{what}: entry {numbers.Count} must be an integer from 0 to 2^63 - 1");
            numbers.Add(number);
        }
        return numbers;
    }

    private static string ReadText(string file, string what, ref Utf8JsonReader reader)
    {
        if (reader.TokenType is not (JsonTokenType.String or JsonTokenType.PropertyName))
            throw new CheckpointException(file, $"{what}: must be a string");
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException error) // Half a surrogate pair: "\ud800".
        {
            throw new CheckpointException(file, $"{what}: is not valid Unicode", error);
        }
    }
}
