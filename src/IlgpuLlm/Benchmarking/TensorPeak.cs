namespace IlgpuLlm.Benchmarking;

/// <summary>The vendors' figures for dense float16 products with float32 sums, in TFLOP/s.</summary>
internal static class TensorPeak
{
    // From the data sheets, without sparsity. The first counts whose words are all in the device's name.
    private static readonly (string Name, double Teraflops)[] Peaks =
    [
        ("H100 PCIe", 756), ("H100 NVL", 835), ("H100", 989), ("H200", 989), ("A100", 312), ("L40S", 362), ("L4", 121), ("RTX 4090", 165),
    ];

    /// <summary>The peak of a device by its own name, such as <c>NVIDIA H100 80GB HBM3</c>; null where it is not known.</summary>
    public static double? Of(string description)
    {
        string[] words = description.Split(' ', '-');
        foreach (var (name, teraflops) in Peaks)
        {
            if (name.Split(' ').All(words.Contains))
                return teraflops;
        }
        return null;
    }
}
