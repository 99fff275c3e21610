namespace IlgpuLlm.Benchmarking;

/// <summary>What the vendors' data sheets say of a device.</summary>
/// <param name="Teraflops">Dense float16 products with float32 sums, in TFLOP/s, without sparsity.</param>
/// <param name="GigabytesPerSecond">Of its memory.</param>
internal sealed record DevicePeak(double Teraflops, double GigabytesPerSecond)
{
    // The first counts whose words are all in the device's name.
    private static readonly (string Name, DevicePeak Peak)[] Peaks =
    [
        ("H100 PCIe", new(756, 2000)), ("H100 NVL", new(835, 3900)), ("H100", new(989, 3350)), ("H200", new(989, 4800)), ("A100 40GB", new(312, 1555)),
        ("A100", new(312, 2039)), ("L40S", new(362, 864)), ("L4", new(121, 300)), ("RTX 4090", new(165, 1008)),
    ];

    /// <summary>The peaks of a device by its own name, such as <c>NVIDIA H100 80GB HBM3</c>; null where they are not known.</summary>
    public static DevicePeak? Of(string description)
    {
        string[] words = description.Split(' ', '-');
        foreach (var (name, peak) in Peaks)
        {
            if (name.Split(' ').All(words.Contains))
                return peak;
        }
        return null;
    }
}
