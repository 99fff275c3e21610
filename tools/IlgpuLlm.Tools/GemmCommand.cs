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
        var allTiles = new Option<bool>("--all-tiles") { Description = "Every wide tile for each shape, not the one that is chosen." };
        var tile = new Option<int?>("--tile") { Description = "The wide tile, by its number." };
        var split = new Option<int[]>("--split")
        {
            Description = "Groups that share the k of a narrow tile, one or more of 1, 2, 4, 8.",
            AllowMultipleArgumentsPerToken = true,
        };
        var command = new Command("gemm", "Times products of F16 weights on a Hopper GPU.") { shapes, device, epilogue, allTiles, tile, split };
        command.SetAction(result =>
        {
            using CudaGpuDevice gpu = CudaGpuDevice.Create(result.GetValue(device));
            using var kernel = new HopperLinearKernel(gpu);
            bool isAll = result.GetValue(allTiles);
            Console.WriteLine($"{gpu.Description}, {gpu.NumMultiprocessors} multiprocessors, epilogue {result.GetValue(epilogue)}");
            foreach (string shape in result.GetValue(shapes)!)
            {
                if (shape.Split('x').Select(n => int.Parse(n, CultureInfo.InvariantCulture)).ToArray() is not [int rows, int outFeatures, int inFeatures])
                    throw new ArgumentException($"'{shape}' is not ROWSxNxK");
                bool isWide = rows > HopperLinearKernel.MaxNarrowRows;
                using var product = new Product(gpu, rows, outFeatures, inFeatures, result.GetValue(epilogue));
                int?[] splits = isWide || result.GetValue(split) is not { Length: > 0 } given ? [null] : [.. given];
                int?[] tiles = isAll && isWide ? [.. Enumerable.Range(0, HopperVariants.WideTiles.Length)] : [result.GetValue(tile)];
                foreach ((int? groups, int? number) in from groups in splits from number in tiles select (groups, number))
                {
                    (kernel.NarrowSplit, kernel.WideTile) = (groups, number);
                    product.Measure(kernel);
                }
            }
            return 0;
        });
        return command;
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

    /// <summary>A product's operands, and as many weights as keep a cache from holding them.</summary>
    private sealed class Product : IDisposable
    {
        private readonly CudaGpuDevice _gpu;
        private readonly LinearEpilogue _epilogue;
        private readonly int _rows;
        private readonly GpuLinearWeight[] _weights;
        private readonly GpuBuffer _input, _output;

        public Product(CudaGpuDevice gpu, int rows, int outFeatures, int inFeatures, LinearEpilogue epilogue)
        {
            (_gpu, _rows, _epilogue) = (gpu, rows, epilogue);
            var random = new FillRandomKernel(gpu);
            long weightBytes = 2L * outFeatures * inFeatures;
            _weights = new GpuLinearWeight[rows > HopperLinearKernel.MaxNarrowRows ? 1 : (int)Math.Max(2, (RotatedBytes + weightBytes - 1) / weightBytes)];
            for (int i = 0; i < _weights.Length; i++)
            {
                _weights[i] = new GpuLinearWeight(gpu, random, outFeatures, inFeatures, ElementType.F16, hasBias: false);
                _weights[i].FillRandom((ulong)i, 0.5f);
            }
            _input = GpuBuffer.Allocate(gpu, ElementType.F16, (long)rows * inFeatures);
            _output = GpuBuffer.Allocate(gpu, IsHalves ? ElementType.F16 : ElementType.F32, (long)rows * outFeatures);
            random.Launch(_input, seed: 1000, amplitude: 0.5f);
        }

        private bool IsHalves => _epilogue is LinearEpilogue.Halves or LinearEpilogue.GateUp;

        private string NameOf(HopperLinearKernel kernel) => kernel.NameOf(_weights[0], _rows, _epilogue);

        public void Measure(HopperLinearKernel kernel)
        {
            // Adding to nothing is like storing.
            bool isChecked = _epilogue != LinearEpilogue.GateUp;
            _gpu.CopyToDevice(new byte[_output.Length * _output.Type.SizeInBytes()], _output.Address);
            kernel.Launch(_weights[0], _input, _output, _rows, _epilogue); // compiles it
            string error = isChecked ? MaxError(_gpu, _weights[0], _input, _output, _rows).ToString("E1", CultureInfo.InvariantCulture) : "-";

            int launches = Math.Max(GraphLaunches, _weights.Length);
            using var graph = new CudaGraph((CudaStream)_gpu.Stream, _gpu.HasDependentLaunch, () =>
            {
                for (int i = 0; i < launches; i++)
                    kernel.Launch(_weights[i % _weights.Length], _input, _output, _rows, _epilogue);
            });
            graph.Launch();
            _gpu.Stream.Synchronize();
            double seconds = double.PositiveInfinity;
            for (int i = 0; i < NumRepetitions; i++)
            {
                var watch = Stopwatch.StartNew();
                graph.Launch();
                _gpu.Stream.Synchronize();
                seconds = Math.Min(seconds, watch.Elapsed.TotalSeconds / launches);
            }
            (int outFeatures, int inFeatures) = (_weights[0].OutFeatures, _weights[0].InFeatures);
            double operations = 2.0 * _rows * outFeatures * inFeatures;
            double bytes = 2.0 * outFeatures * inFeatures + 2.0 * _rows * inFeatures + (double)_rows * outFeatures * (IsHalves ? 2 : 4);
            Console.WriteLine(FormattableString.Invariant(
                $"{_rows,5} x {outFeatures,5} x {inFeatures,5}  {NameOf(kernel),-48} {seconds * 1e6,8:F1} us")
                + FormattableString.Invariant($"  {operations / seconds / 1e12,6:F1} TFLOP/s  {bytes / seconds / 1e12,5:F2} TB/s  error {error}"));
        }

        public void Dispose()
        {
            foreach (var weight in _weights)
                weight.Dispose();
            _input.Dispose();
            _output.Dispose();
        }
    }
}
