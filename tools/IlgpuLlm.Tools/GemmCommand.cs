using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using ILGPU.Runtime.Cuda;
using IlgpuLlm.Kernels;
using IlgpuLlm.Kernels.Gpu;

namespace IlgpuLlm.Tools;

/// <summary>Measures Hopper's linear kernels alone, in CUDA graphs of several launches that take turns with weights that no cache holds together.</summary>
internal static class GemmCommand
{
    private const int GraphLaunches = 20;
    private const int NumRepetitions = 5;
    private const int NumSamples = 512;
    private const long RotatedBytes = 2L << 30;

    private static readonly string[] DefaultShapes =
    [
        "512x4096x4096", "2048x4096x4096", "2048x11008x4096", "2048x4096x11008", "4096x4096x4096", "8192x8192x8192",
        "512x12288x4096", "512x22016x4096", "2048x12288x4096", "2048x22016x4096", "256x4096x4096", "256x22016x4096",
        .. from rows in new[] { 1, 8, 16, 32, 64, 128 }
           from shape in new[] { "12288x4096", "4096x4096", "22016x4096", "4096x11008", "32000x4096" }
           select $"{rows}x{shape}",
    ];

    public static Command Create()
    {
        var shapes = new Argument<string[]>("shapes") { Description = "ROWSxNxK: rows, output features, input features.", DefaultValueFactory = _ => DefaultShapes };
        var device = new Option<int>("--device") { Description = "The CUDA device." };
        var epilogue = new Option<LinearEpilogue>("--epilogue") { Description = "What becomes of the sums." };
        var allTiles = new Option<bool>("--all-tiles") { Description = "Every wide tile for each shape of more than 128 rows, not the one that is chosen." };
        var command = new Command("gemm", "Times products of F16 weights on a Hopper GPU.") { shapes, device, epilogue, allTiles };
        command.SetAction(result =>
        {
            using CudaGpuDevice gpu = CudaGpuDevice.Create(result.GetValue(device));
            using var kernel = new HopperLinearKernel(gpu);
            Console.WriteLine($"{gpu.Description}, {gpu.NumMultiprocessors} multiprocessors, epilogue {result.GetValue(epilogue)}");
            foreach (string shape in result.GetValue(shapes)!)
            {
                if (shape.Split('x').Select(n => int.Parse(n, CultureInfo.InvariantCulture)).ToArray() is not [int rows, int outFeatures, int inFeatures])
                    throw new ArgumentException($"'{shape}' is not ROWSxNxK");
                bool isWide = rows > HopperLinearKernel.MaxNarrowRows;
                foreach (int? tile in isWide && result.GetValue(allTiles) ? Enumerable.Range(0, HopperVariants.WideTiles.Length).Cast<int?>() : [null])
                {
                    kernel.WideTile = tile;
                    Measure(gpu, kernel, rows, outFeatures, inFeatures, result.GetValue(epilogue));
                }
            }
            return 0;
        });
        return command;
    }

    private static void Measure(CudaGpuDevice gpu, HopperLinearKernel kernel, int rows, int outFeatures, int inFeatures, LinearEpilogue epilogue)
    {
        var random = new FillRandomKernel(gpu);
        long weightBytes = 2L * outFeatures * inFeatures;
        bool isWide = rows > HopperLinearKernel.MaxNarrowRows, isHalves = epilogue is LinearEpilogue.Halves or LinearEpilogue.GateUp;
        var weights = new GpuLinearWeight[isWide ? 1 : (int)Math.Max(2, (RotatedBytes + weightBytes - 1) / weightBytes)];
        for (int i = 0; i < weights.Length; i++)
        {
            weights[i] = new GpuLinearWeight(gpu, random, outFeatures, inFeatures, ElementType.F16, hasBias: false);
            weights[i].FillRandom((ulong)i, 0.5f);
        }
        using var input = GpuBuffer.Allocate(gpu, ElementType.F16, (long)rows * inFeatures);
        using var output = GpuBuffer.Allocate(gpu, isHalves ? ElementType.F16 : ElementType.F32, (long)rows * outFeatures);
        random.Launch(input, seed: 1000, amplitude: 0.5f);
        kernel.Launch(weights[0], input, output, rows, epilogue); // compiles it
        string error = epilogue is LinearEpilogue.Halves or LinearEpilogue.Floats ? MaxError(gpu, weights[0], input, output, rows).ToString("E1") : "-";

        int launches = Math.Max(GraphLaunches, weights.Length);
        using var graph = new CudaGraph((CudaStream)gpu.Stream, gpu.HasDependentLaunch, () =>
        {
            for (int i = 0; i < launches; i++)
                kernel.Launch(weights[i % weights.Length], input, output, rows, epilogue);
        });
        graph.Launch();
        gpu.Stream.Synchronize();
        double seconds = double.PositiveInfinity;
        for (int i = 0; i < NumRepetitions; i++)
        {
            var watch = Stopwatch.StartNew();
            graph.Launch();
            gpu.Stream.Synchronize();
            seconds = Math.Min(seconds, watch.Elapsed.TotalSeconds / launches);
        }
        double bytes = weightBytes + 2.0 * rows * inFeatures + (double)rows * outFeatures * (isHalves ? 2 : 4);
        Console.WriteLine(FormattableString.Invariant(
            $"{rows,5} x {outFeatures,5} x {inFeatures,5}  {kernel.NameOf(weights[0], rows, epilogue),-38} {seconds * 1e6,8:F1} us  {2.0 * rows * outFeatures * inFeatures / seconds / 1e12,6:F1} TFLOP/s  {bytes / seconds / 1e12,5:F2} TB/s  error {error}"));
        foreach (var weight in weights)
            weight.Dispose();
    }

    /// <summary>The largest difference of some sums from double-precision dot products.</summary>
    private static double MaxError(CudaGpuDevice gpu, GpuLinearWeight weight, GpuBuffer input, GpuBuffer output, int rows)
    {
        int width = weight.InFeatures;
        var random = new Random(1);
        Half[] x = new Half[width], w = new Half[width];
        var sum = new byte[output.Type.SizeInBytes()];
        double max = 0;
        for (int i = 0; i < NumSamples; i++)
        {
            int row = random.Next(rows), column = random.Next(weight.OutFeatures);
            gpu.CopyToHost(input.Address + (nint)(2L * row * width), MemoryMarshal.AsBytes(x.AsSpan()));
            gpu.CopyToHost(weight.Matrix.Address + (nint)(2L * column * width), MemoryMarshal.AsBytes(w.AsSpan()));
            gpu.CopyToHost(output.Address + (nint)(((long)row * weight.OutFeatures + column) * sum.Length), sum);
            double expected = 0;
            for (int k = 0; k < width; k++)
                expected += (double)x[k] * (double)w[k];
            double actual = output.Type == ElementType.F16 ? (double)BitConverter.ToHalf(sum) : BitConverter.ToSingle(sum);
            double difference = Math.Abs(actual - expected);
            max = Math.Max(max, difference); // NaN stays
        }
        return max;
    }
}
