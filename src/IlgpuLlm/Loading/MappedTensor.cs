namespace IlgpuLlm.Loading;

/// <summary>A tensor and the file that holds it.</summary>
internal readonly record struct MappedTensor(SafetensorsFile File, TensorInfo Info)
{
    /// <summary>All of its bytes, which are soon read.</summary>
    /// <exception cref="CheckpointException">They are more than a span holds.</exception>
    public ReadOnlySpan<byte> ReadAll()
    {
        if (Info.ByteLength > int.MaxValue)
            throw new CheckpointException(File.Path, $"tensor {MessageText.Quote(Info.Name)}: {Info.ByteLength} bytes, at most {int.MaxValue} are supported");
        return File.Read(Info, 0, (int)Info.ByteLength);
    }
}
