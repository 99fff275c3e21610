using System.Buffers.Binary;
using System.Runtime.InteropServices;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Tests.Loading;

[TestClass]
public sealed class SafetensorsFileTests
{
    [TestMethod]
    public void Open_TwoTensors_ReadsThemInPlace()
    {
        using var temp = new TempFolder();
        byte[] content = new SafetensorsBuilder()
            .Add("a", "F32", [2, 2], 1f, 2f, 3f, 4f)
            .Add<byte>("empty", "F32", [0, 7])
            .Add("scalar", "I64", [], 5L)
            .Build();
        using var file = SafetensorsFile.Open(temp.Write("model.safetensors", content));

        Assert.HasCount(3, file.Tensors);
        var a = file.Tensors["a"];
        Assert.AreEqual("[2, 2]", a.ShapeText);
        Assert.AreSequenceEqual([3f, 4f], MemoryMarshal.Cast<byte, float>(file.Read(a, 8, 8)).ToArray());
        Assert.AreEqual(0, file.Tensors["empty"].ByteLength);
        Assert.AreEqual(5L, BinaryPrimitives.ReadInt64LittleEndian(file.Read(file.Tensors["scalar"], 0, 8)));
    }

    [TestMethod]
    public void Open_SpacesBehindHeader_AreAllowed() => OpenHeader("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}    """, 4);

    [TestMethod]
    [DataRow(-1L, 1)]
    [DataRow(0L, 17)]
    [DataRow(16L, 1)]
    [DataRow(0L, -1)]
    [DataRow(long.MaxValue, int.MaxValue)]
    public void Read_OutsideTheTensor_Throws(long offset, int length)
    {
        using var temp = new TempFolder();
        using var file = SafetensorsFile.Open(temp.Write("model.safetensors", new SafetensorsBuilder().Add("a", "F32", [4], 1f, 2f, 3f, 4f).Build()));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => _ = file.Read(file.Tensors["a"], offset, length).Length);
    }

    [TestMethod]
    public void Read_AfterDispose_Throws()
    {
        using var temp = new TempFolder();
        var file = SafetensorsFile.Open(temp.Write("model.safetensors", new SafetensorsBuilder().Add("a", "F32", [1], 1f).Build()));
        file.Dispose();
        file.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => _ = file.Read(file.Tensors["a"], 0, 4).Length);
    }

    [TestMethod]
    public void Open_MissingFile_IsRefused() => CheckpointErrors.Expect(() => SafetensorsFile.Open("/no/model.safetensors"), "/no/model.safetensors", "cannot be read");

    [TestMethod]
    public void Open_Folder_IsRefused()
    {
        using var temp = new TempFolder();
        CheckpointErrors.Expect(() => SafetensorsFile.Open(temp.Path), temp.Path, "cannot be read");
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(7)]
    public void Open_FileWithoutHeaderLength_IsRefused(int length) =>
        ExpectRefused(new byte[length], $"the file has {length} bytes", "at least the 8");

    [TestMethod]
    public void Open_TruncatedData_NamesTensorOffsetsAndSize()
    {
        byte[] content = new SafetensorsBuilder().Add("a", "F32", [4], 1f, 2f, 3f, 4f).Build();
        ExpectRefused(content[..^5], "tensor \"a\": data_offsets: [0, 16]", "within the file's 11 bytes of data");
    }

    [TestMethod]
    public void Open_TruncatedHeader_NamesHeaderLengthAndFileSize()
    {
        byte[] content = new SafetensorsBuilder().Add("a", "F32", [4], 1f, 2f, 3f, 4f).Build();
        ExpectRefused(content[..40], "header length: ", "within the file of 40 bytes");
    }

    [TestMethod]
    [DataRow(ulong.MaxValue)]
    [DataRow(1UL << 63)]
    [DataRow(100_000_001UL)]
    [DataRow(500UL)]
    public void Open_HeaderLengthBeyondTheFile_NamesValueAndLimit(ulong headerLength)
    {
        byte[] content = new SafetensorsBuilder().Add("a", "F32", [4], 1f, 2f, 3f, 4f).Build();
        BinaryPrimitives.WriteUInt64LittleEndian(content, headerLength);
        ExpectRefused(content, $"header length: {headerLength}", "at most 100000000", $"file of {content.Length} bytes");
    }

    [TestMethod]
    [DataRow("", "is not valid JSON")]
    [DataRow("[]", "must be a JSON object")]
    [DataRow("{", "is not valid JSON")]
    [DataRow("{}{}", "is not valid JSON")]
    [DataRow("{\"a\":1}", "tensor \"a\": must be an object")]
    [DataRow("{\"__metadata__\":1}", "__metadata__: must be an object")]
    [DataRow("{\"\\ud800\":{}}", "is not valid Unicode")]
    [DataRow("{\"a\":{}}", "tensor \"a\": dtype: missing")]
    [DataRow("""{"a":{"dtype":"F32","data_offsets":[0,8]}}""", "tensor \"a\": shape: missing")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2]}}""", "tensor \"a\": data_offsets: missing")]
    [DataRow("""{"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}}""", "tensor \"a\": dtype: must be a string")]
    [DataRow("""{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}""", "tensor \"a\": dtype: \"F99\", must be one of BF16, BOOL,")]
    [DataRow("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", "tensor \"a\": shape: entry 0 must be an integer from 0")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}""", "tensor \"a\": shape: entry 0 must be an integer from 0")]
    [DataRow("""{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}""", "tensor \"a\": shape: must be a list")]
    [DataRow("""{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}""", "below 2^63")]
    [DataRow("""{"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,8]}}""", "below 2^63")]
    [DataRow("""{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,8]}}""", "must be whole bytes")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}""", "data_offsets: 3 numbers, must be 2")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", "data_offsets: [8, 0]")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", "data_offsets: [4, 12], must be a range within the file's 8 bytes")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}""", "entry 0 must be an integer from 0")]
    [DataRow("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", "must span the 12 bytes of F32 [3]")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "tensors cover 4 bytes of data, must be all of the 8")]
    [DataRow("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "leaves a hole after the header, which ends at 0")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "is there twice")]
    [DataRow("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "overlaps tensor \"a\", which ends at 8")]
    public void Open_BadHeader_NamesTensorFieldValueAndLimit(string header, string problem) =>
        ExpectRefused(SafetensorsBuilder.FromHeader(header, new byte[8]), problem);

    [TestMethod]
    public void Open_HostileTensorName_StaysOnOneShortLine()
    {
        string name = string.Concat(Enumerable.Repeat("\\u000a\\u001b", 500));
        ExpectRefused(SafetensorsBuilder.FromHeader($"{{\"{name}\":{{}}}}", []), "????", "...", "dtype: missing");
    }

    private static void OpenHeader(string header, int dataLength)
    {
        using var temp = new TempFolder();
        using var file = SafetensorsFile.Open(temp.Write("model.safetensors", SafetensorsBuilder.FromHeader(header, new byte[dataLength])));
    }

    private static void ExpectRefused(byte[] content, params string[] parts)
    {
        using var temp = new TempFolder();
        string file = temp.Write("model.safetensors", content);
        CheckpointErrors.Expect(() => SafetensorsFile.Open(file), file, parts);
    }
}
