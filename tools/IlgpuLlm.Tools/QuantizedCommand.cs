using System.CommandLine;
using IlgpuLlm.Benchmarking;
using IlgpuLlm.Kernels;
using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Tools;

/// <summary>Measures products with quantized weights beside those of halves, in graphs of launches that take turns with weights that no cache holds together.</summary>
internal static class QuantizedCommand
{
    private static readonly int[] Rows = [1, 8, 16, 32, 64, 128, 512, 2048];
    private static readonly (int OutFeatures, int InFeatures)[] Shapes = [(4096, 4096), (12288, 4096), (22016, 4096), (4096, 11008)];

    public static Command Create()
    {
        var device = new Option<int>("--device") { Description = "The CUDA device." };
        var bits = new Option<int>("--bits") { Description = "4 or 8.", DefaultValueFactory = _ => 4 };
        var group = new Option<int>("--group-size") { Description = "Inputs of a group, -1: the row.", DefaultValueFactory = _ => 128 };
        var rows = new Option<int[]>("--rows") { Description = "Numbers of rows.", DefaultValueFactory = _ => Rows, AllowMultipleArgumentsPerToken = true };
        var command = new Command("quantized", "Times products with quantized weights beside those of F16 weights on a CUDA device.") { device, bits, group, rows };
        command.SetAction(result =>
        {
            int index = result.GetValue(device);
            double copy = CopyBandwidth.Measure(new EngineOptions { Device = $"cuda:{index}" }) * 1e9;
            using GpuBackend backend = GpuBackend.CreateCuda(index);
            var format = new QuantizationFormat(result.GetValue(bits), result.GetValue(group));
            int[] batches = result.GetValue(rows)!;
            // Its matrices are the shapes that are measured.
            var model = new ModelShape(4096, 11008, new AttentionShape(32, 32, 128, 0, 0.0884f), ElementType.F16, format);
            backend.ReserveWorkspace(new WorkspaceShape(model, batches.Max(), 1, 64));
            Console.WriteLine(FormattableString.Invariant($"{backend.Description}, copy {copy / 1e12:F2} TB/s, {format.Bits} bits, groups of {format.GroupSize}"));
            foreach ((int outFeatures, int inFeatures) in Shapes)
                Measure(backend, format, outFeatures, inFeatures, batches, copy);
            return 0;
        });
        return command;
    }

    private static void Measure(GpuBackend backend, QuantizationFormat format, int outFeatures, int inFeatures, int[] batches, double copy)
    {
        long codesBytes = backend.QuantizedLinearByteLength(outFeatures, inFeatures, format, hasBias: false, isReordered: false);
        long halvesBytes = backend.LinearByteLength(outFeatures, inFeatures, ElementType.F16, hasBias: false);
        var timer = new KernelTimer(backend);
        LinearWeight[] codes = Create(timer.NumCopies(codesBytes), () => backend.CreateQuantizedLinear(outFeatures, inFeatures, format, hasBias: false, []));
        LinearWeight[] halves = Create(timer.NumCopies(halvesBytes), () => backend.CreateLinear(outFeatures, inFeatures, ElementType.F16, hasBias: false));
        try
        {
            foreach (int rows in batches)
            {
                using DeviceBuffer input = backend.Allocate(ElementType.F16, (long)rows * inFeatures);
                using DeviceBuffer output = backend.Allocate(ElementType.F16, (long)rows * outFeatures);
                backend.Upload(Enumerable.Range(0, rows * inFeatures).Select(i => (Half)(i % 17 / 16f - 0.5f)).ToArray().AsSpan(), input);
                double quantized = timer.Time(codes.Length, i => backend.Linear(codes[i], input, output, rows));
                double plain = timer.Time(halves.Length, i => backend.Linear(halves[i], input, output, rows));
                long activations = 2L * rows * (inFeatures + outFeatures);
                Console.WriteLine(
                    FormattableString.Invariant($"{rows,5} x {outFeatures,5} x {inFeatures,5}  {quantized * 1e6,8:F1} us  {(codesBytes + activations) / quantized / copy,6:P0} of copy")
                    + FormattableString.Invariant($"   fp16 {plain * 1e6,8:F1} us  {(halvesBytes + activations) / plain / copy,6:P0}   {plain / quantized,5:F2} x fp16"));
            }
        }
        finally
        {
            foreach (LinearWeight weight in codes.Concat(halves))
                weight.Dispose();
        }
    }

    private static LinearWeight[] Create(int count, Func<LinearWeight> create)
    {
        var weights = new LinearWeight[count];
        for (int i = 0; i < weights.Length; i++)
        {
            weights[i] = create();
            weights[i].FillRandom((ulong)i, 0.5f);
        }
        return weights;
    }
}
