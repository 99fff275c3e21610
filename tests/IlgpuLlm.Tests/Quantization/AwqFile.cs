using System.Runtime.InteropServices;
using IlgpuLlm.Loading;

namespace IlgpuLlm.Tests.Quantization;

/// <summary>Dequantizes AWQ and GPTQ tensors of a file by their published formulas, written from ../shared/vectors/awq_gptq_ref.py and not from the code under test.</summary>
internal static class AwqFile
{
    private static readonly int[] Reverse = [0, 4, 1, 5, 2, 6, 3, 7];

    /// <summary>W[out, in] of a module in AutoAWQ's GEMM layout: (q - z) * s, column 8c + j in bits 4 Reverse[j] of word c.</summary>
    public static float[] DequantizeAwq(SafetensorsFile file, string module)
    {
        var (words, shape) = Words(file, module + ".qweight");
        var (zeros, zerosShape) = Words(file, module + ".qzeros");
        var scales = Scales(file, module);
        int inputs = (int)shape[0], outputs = (int)shape[1] * 8, length = inputs / (int)zerosShape[0];
        var values = new float[outputs * inputs];
        for (int k = 0; k < inputs; k++)
            for (int o = 0; o < outputs; o++)
            {
                int shift = 4 * Reverse[o % 8], group = k / length;
                int q = (int)(words[k * (outputs / 8) + o / 8] >> shift & 15), z = (int)(zeros[group * (outputs / 8) + o / 8] >> shift & 15);
                values[o * inputs + k] = (q - z) * (float)scales[group * outputs + o];
            }
        return values;
    }

    /// <summary>W[out, in] of a module in AutoGPTQ's layout with 8 bits: (q - (z + 1)) * s, input 4r + i in byte i of row r.</summary>
    public static float[] DequantizeGptq8(SafetensorsFile file, string module)
    {
        var (words, shape) = Words(file, module + ".qweight");
        var (zeros, _) = Words(file, module + ".qzeros");
        var (groups, _) = Words(file, module + ".g_idx");
        var scales = Scales(file, module);
        int inputs = (int)shape[0] * 4, outputs = (int)shape[1];
        var values = new float[outputs * inputs];
        for (int k = 0; k < inputs; k++)
            for (int o = 0; o < outputs; o++)
            {
                int group = (int)groups[k], q = (int)(words[k / 4 * outputs + o] >> 8 * (k % 4) & 255);
                int z = (int)(zeros[group * (outputs / 4) + o / 4] >> 8 * (o % 4) & 255);
                values[o * inputs + k] = (q - (z + 1)) * (float)scales[group * outputs + o];
            }
        return values;
    }

    /// <summary>The names of the quantized modules of a file.</summary>
    public static IEnumerable<string> Modules(SafetensorsFile file) =>
        file.Tensors.Keys.Where(name => name.EndsWith(".qweight", StringComparison.Ordinal)).Select(name => name[..^".qweight".Length]);

    private static Half[] Scales(SafetensorsFile file, string module) =>
        MemoryMarshal.Cast<byte, Half>(Read(file, file.Tensors[module + ".scales"])).ToArray();

    private static (uint[] Words, IReadOnlyList<long> Shape) Words(SafetensorsFile file, string name) =>
        (MemoryMarshal.Cast<byte, uint>(Read(file, file.Tensors[name])).ToArray(), file.Tensors[name].Shape);

    private static ReadOnlySpan<byte> Read(SafetensorsFile file, TensorInfo tensor) => file.Read(tensor, 0, (int)tensor.ByteLength);
}
