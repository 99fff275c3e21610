using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace IlgpuLlm.Tests.Loading;

/// <summary>Builds small safetensors files, good ones and, from a header given as text, bad ones.</summary>
internal sealed class SafetensorsBuilder
{
    private readonly List<string> _entries = [];
    private readonly MemoryStream _data = new();

    public SafetensorsBuilder Add<T>(string name, string dtype, long[] shape, params T[] values)
        where T : unmanaged
    {
        long begin = _data.Length;
        _data.Write(MemoryMarshal.AsBytes(values.AsSpan()));
        _entries.Add($"\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{string.Join(",", shape)}],\"data_offsets\":[{begin},{_data.Length}]}}");
        return this;
    }

    /// <summary>Random floats.</summary>
    public SafetensorsBuilder AddRandom(string name, params long[] shape)
    {
        var random = new Random(_entries.Count);
        var values = new float[shape.Aggregate(1L, (product, dimension) => product * dimension)];
        for (int i = 0; i < values.Length; i++)
            values[i] = random.NextSingle() - 0.5f;
        return Add(name, "F32", shape, values);
    }

    public byte[] Build() => FromHeader($"{{\"__metadata__\":{{\"format\":\"pt\"}},{string.Join(",", _entries)}}}", _data.ToArray());

    public static byte[] FromHeader(string header, byte[] data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] file = new byte[8 + json.Length + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(file, json.Length);
        json.CopyTo(file, 8);
        data.CopyTo(file, 8 + json.Length);
        return file;
    }
}
