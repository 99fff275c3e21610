using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// weight . x + bias for one row x. A warp (Group.DimX lanes; one lane on ILGPU's CPU accelerator) makes two features, neighbours or a gate and its up, so
/// that a chunk of x is read and widened for both; Group.DimY warps make what follows. Lane l adds chunks l, l + DimX, ... in order, then the lanes are
/// added in a butterfly: the order depends on the row length alone. Four chunks of each feature are requested ahead of the four that are multiplied, the
/// first ones before the kernel waits for its input: a launch's start hides behind the end of the one before.
/// </summary>
internal static class GemvBody<TFormat, TStorage, TRaw, TX, TChunk, TOutput, TOut>
    where TFormat : struct, IRowFormat<TStorage, TRaw, TX, TChunk>
    where TStorage : unmanaged
    where TRaw : unmanaged
    where TX : unmanaged
    where TChunk : unmanaged
    where TOutput : struct, IGemvOutput<TOut>
    where TOut : unmanaged
{
    internal static void Body(ArrayView<TStorage> weight, ArrayView<float> bias, ArrayView<TX> x, ArrayView<TOut> output, GemvShape shape)
    {
        var start = Request(weight, shape);
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();
        Multiply(weight, bias, x, output, shape, start);
    }

    /// <summary>Requests a lane's first chunks of both features.</summary>
    public static GemvStart<TRaw> Request(ArrayView<TStorage> weight, GemvShape shape)
    {
        var place = GemvPlace.Of(shape, TFormat.Width);
        return new()
        {
            Place = place,
            First = LoadFour(weight, place.Row, place.Chunk, Group.DimX, place.NumChunks),
            Second = LoadFour(weight, place.SecondRow, place.Chunk, Group.DimX, place.NumChunks),
        };
    }

    /// <summary>Multiplies, and writes a warp's two sums.</summary>
    public static void Multiply(
        ArrayView<TStorage> weight, ArrayView<float> bias, ArrayView<TX> x, ArrayView<TOut> output, GemvShape shape, GemvStart<TRaw> start)
    {
        var place = start.Place;
        int numChunks = place.NumChunks, step = Group.DimX, chunk = place.Chunk;
        long row = place.Row, secondRow = place.SecondRow;
        var (even, secondEven) = (start.First, start.Second);
        GemvSums sums = default;
        while (chunk < numChunks)
        {
            // By turns, so that no register is copied: a copy would wait for what is under way.
            int next = chunk + 4 * step;
            var odd = LoadFour(weight, row, next, step, numChunks);
            var secondOdd = LoadFour(weight, secondRow, next, step, numChunks);
            sums = DotFour(even, secondEven, x, chunk, step, numChunks, sums);
            chunk = next + 4 * step;
            even = LoadFour(weight, row, chunk, step, numChunks);
            secondEven = LoadFour(weight, secondRow, chunk, step, numChunks);
            sums = DotFour(odd, secondOdd, x, next, step, numChunks, sums);
        }
        float a = GroupOps.WarpSum(sums.First), b = GroupOps.WarpSum(sums.Second);
        if (Group.IdxX != 0 || !place.IsInside)
            return;
        if (shape.HasBias != 0)
        {
            a += bias[place.Feature];
            b += bias[place.Second];
        }
        TOutput.Write(output, place.Pair, a, b, shape.OutFeatures);
    }

    private static Four<TRaw> LoadFour(ArrayView<TStorage> weight, long row, int chunk, int step, int numChunks)
    {
        Four<TRaw> chunks = default;
        long at = row + (long)chunk * TFormat.Width;
        int next = step * TFormat.Width;
        if (chunk + 3 * step < numChunks)
        {
            chunks.A = TFormat.Load(weight, at);
            chunks.B = TFormat.Load(weight, at + next);
            chunks.C = TFormat.Load(weight, at + 2 * next);
            chunks.D = TFormat.Load(weight, at + 3 * next);
        }
        else
        {
            if (chunk < numChunks)
                chunks.A = TFormat.Load(weight, at);
            if (chunk + step < numChunks)
                chunks.B = TFormat.Load(weight, at + next);
            if (chunk + 2 * step < numChunks)
                chunks.C = TFormat.Load(weight, at + 2 * next);
        }
        return chunks;
    }

    private static GemvSums DotFour(Four<TRaw> first, Four<TRaw> second, ArrayView<TX> x, int chunk, int step, int numChunks, GemvSums sums)
    {
        int k = chunk * TFormat.Width, next = step * TFormat.Width;
        if (chunk + 3 * step < numChunks)
        {
            sums = Dot(first.A, second.A, x, k, sums);
            sums = Dot(first.B, second.B, x, k + next, sums);
            sums = Dot(first.C, second.C, x, k + 2 * next, sums);
            return Dot(first.D, second.D, x, k + 3 * next, sums);
        }
        if (chunk < numChunks)
            sums = Dot(first.A, second.A, x, k, sums);
        if (chunk + step < numChunks)
            sums = Dot(first.B, second.B, x, k + next, sums);
        if (chunk + 2 * step < numChunks)
            sums = Dot(first.C, second.C, x, k + 2 * next, sums);
        return sums;
    }

    private static GemvSums Dot(TRaw first, TRaw second, ArrayView<TX> x, int k, GemvSums sums)
    {
        TChunk chunk = TFormat.LoadRow(x, k);
        return new() { First = TFormat.Dot(first, chunk, sums.First), Second = TFormat.Dot(second, chunk, sums.Second) };
    }
}

/// <summary>What a lane makes, and what it requested of it.</summary>
/// <typeparam name="TRaw">A chunk as it is loaded.</typeparam>
internal struct GemvStart<TRaw>
    where TRaw : unmanaged
{
    public GemvPlace Place;
    public Four<TRaw> First, Second;
}

/// <summary>What a lane makes.</summary>
internal struct GemvPlace
{
    public int Pair, Feature, Second;

    /// <summary>The lane's first chunk; behind the last one if there is no such feature.</summary>
    public int Chunk;
    public int NumChunks;

    /// <summary>The first elements of the features' weights.</summary>
    public long Row, SecondRow;

    /// <summary>Whether there is such a feature.</summary>
    public bool IsInside;

    public static GemvPlace Of(GemvShape shape, int width)
    {
        int pair = Grid.IdxX * Group.DimY + Group.IdxY, feature = shape.FirstOf(pair), numChunks = shape.InFeatures / width;
        int second = IntrinsicMath.Min(feature + shape.Distance, shape.OutFeatures - 1);
        bool isInside = feature < shape.OutFeatures;
        return new()
        {
            Pair = pair,
            Feature = feature,
            Second = second,
            Chunk = isInside ? Group.IdxX : numChunks,
            NumChunks = numChunks,
            Row = (long)feature * shape.InFeatures,
            SecondRow = (long)second * shape.InFeatures,
            IsInside = isInside,
        };
    }
}

/// <summary>The sums of two features.</summary>
internal struct GemvSums
{
    public float First, Second;
}

/// <summary>The sizes of a product of one row.</summary>
internal struct GemvShape
{
    public int OutFeatures;
    public int InFeatures;
    public int HasBias;

    /// <summary>How far the second feature of a warp lies behind the first: features lie in blocks of so many, first and second ones by turns.</summary>
    public int Distance;

    /// <summary>The first feature of a pair.</summary>
    public readonly int FirstOf(int pair) => Distance == 1 ? 2 * pair : pair / Distance * (2 * Distance) + pair % Distance;
}

/// <summary>How a product of one row reads weights and the row.</summary>
/// <typeparam name="TStorage">A stored weight.</typeparam>
/// <typeparam name="TRaw">A chunk of weights as it is loaded.</typeparam>
/// <typeparam name="TX">An element of the row.</typeparam>
/// <typeparam name="TChunk">A chunk of the row, widened.</typeparam>
internal interface IRowFormat<TStorage, TRaw, TX, TChunk>
    where TStorage : unmanaged
    where TRaw : unmanaged
    where TX : unmanaged
    where TChunk : unmanaged
{
    /// <summary>Elements in a chunk.</summary>
    static abstract int Width { get; }

    static abstract TRaw Load(ArrayView<TStorage> source, long element);

    static abstract TChunk LoadRow(ArrayView<TX> x, long element);

    /// <summary>sum + weights . x, added from left to right.</summary>
    static abstract float Dot(TRaw weights, TChunk x, float sum);
}

/// <summary>Floats times floats.</summary>
internal readonly struct F32Row : IRowFormat<float, Float4, float, Float4>
{
    public static int Width => F32Vector.Width;

    public static Float4 Load(ArrayView<float> source, long element) => F32Vector.Load(source, element);

    public static Float4 LoadRow(ArrayView<float> x, long element) => Chunks.LoadVector(x, element);

    public static float Dot(Float4 weights, Float4 x, float sum) => Chunks.Dot(weights, x, sum);
}

/// <summary>Halves times floats.</summary>
internal readonly struct MixedRow : IRowFormat<ushort, UInt4, float, Float8>
{
    public static int Width => F16Vector.Width;

    public static UInt4 Load(ArrayView<ushort> source, long element) => F16Vector.Load(source, element);

    public static Float8 LoadRow(ArrayView<float> x, long element) => new() { Low = Chunks.LoadVector(x, element), High = Chunks.LoadVector(x, element + 4) };

    public static float Dot(UInt4 weights, Float8 x, float sum) => Chunks.Dot(Chunks.WidenHalves(weights), x, sum);
}

/// <summary>Halves times halves.</summary>
internal readonly struct HalfRow : IRowFormat<ushort, UInt4, ushort, Float8>
{
    public static int Width => F16Vector.Width;

    public static UInt4 Load(ArrayView<ushort> source, long element) => F16Vector.Load(source, element);

    public static Float8 LoadRow(ArrayView<ushort> x, long element) => Chunks.WidenHalves(F16Vector.Load(x, element));

    public static float Dot(UInt4 weights, Float8 x, float sum) => Chunks.Dot(Chunks.WidenHalves(weights), x, sum);
}

/// <summary>What a product of one row does with a warp's two sums.</summary>
internal interface IGemvOutput<TOut>
    where TOut : unmanaged
{
    static abstract void Write(ArrayView<TOut> output, int pair, float first, float second, int outFeatures);
}

/// <summary>Stores them.</summary>
internal readonly struct GemvStore<TElement, T> : IGemvOutput<T>
    where TElement : struct, IElement<T>
    where T : unmanaged
{
    public static void Write(ArrayView<T> output, int pair, float first, float second, int outFeatures)
    {
        output[2 * pair] = TElement.Narrow(first);
        if (2 * pair + 1 < outFeatures)
            output[2 * pair + 1] = TElement.Narrow(second);
    }
}

/// <summary>Adds them to floats.</summary>
internal readonly struct GemvAdd : IGemvOutput<float>
{
    public static void Write(ArrayView<float> output, int pair, float first, float second, int outFeatures)
    {
        output[2 * pair] += first;
        if (2 * pair + 1 < outFeatures)
            output[2 * pair + 1] += second;
    }
}

/// <summary>Stores silu(gate) * up.</summary>
internal readonly struct GemvSiluMul<TElement, T> : IGemvOutput<T>
    where TElement : struct, IElement<T>
    where T : unmanaged
{
    public static void Write(ArrayView<T> output, int pair, float first, float second, int outFeatures) =>
        output[pair] = TElement.Narrow(DeviceMath.Silu(first) * second);
}
