using ILGPU;
using IlgpuLlm.Kernels.Gpu.Ptx;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// output[i] = weight[i] . x + bias[i] for one row x; for gate and up, silu(weight[gate] . x) * (weight[up] . x). A warp (Group.DimX lanes; one lane on
/// ILGPU's CPU accelerator) makes one output, Group.DimY warps neighbouring ones. Lane l adds chunks l, l + DimX, ... in order, then the lanes are added
/// in a butterfly: the order depends on the row length alone. Four chunks are requested ahead of the four that are multiplied, the first ones before
/// the kernel waits for its input: a launch's start hides behind the end of the one before.
/// </summary>
internal static class GemvBody<TFormat, TStorage, TRaw, TX, TOutput, TOut>
    where TFormat : struct, IRowFormat<TStorage, TRaw, TX>
    where TStorage : unmanaged
    where TRaw : unmanaged
    where TX : unmanaged
    where TOutput : struct, IGemvOutput<TOut>
    where TOut : unmanaged
{
    internal static void Body(ArrayView<TStorage> weight, ArrayView<float> bias, ArrayView<TX> x, ArrayView<TOut> output, GemvShape shape)
    {
        int index = Grid.IdxX * Group.DimY + Group.IdxY;
        bool isInside = index < shape.NumOutputs;
        int feature = TOutput.IsGateUp ? shape.GateRow(index) : index;
        int second = feature + shape.UpOffset;
        int chunk = isInside ? Group.IdxX : shape.NumChunks(TFormat.Width);
        int step = Group.DimX;
        int numChunks = shape.NumChunks(TFormat.Width);
        long row = (long)feature * shape.InFeatures, secondRow = (long)second * shape.InFeatures;
        var even = LoadFour(weight, row, chunk, step, numChunks);
        var secondEven = TOutput.IsGateUp ? LoadFour(weight, secondRow, chunk, step, numChunks) : default;
        PtxIntrinsics.LaunchDependents();
        PtxIntrinsics.WaitForDependencies();

        float sum = 0f, secondSum = 0f;
        while (chunk < numChunks)
        {
            // By turns, so that no register is copied: a copy would wait for what is under way.
            int next = chunk + 4 * step;
            var odd = LoadFour(weight, row, next, step, numChunks);
            var secondOdd = TOutput.IsGateUp ? LoadFour(weight, secondRow, next, step, numChunks) : default;
            sum = DotFour(even, x, chunk, step, numChunks, sum);
            if (TOutput.IsGateUp)
                secondSum = DotFour(secondEven, x, chunk, step, numChunks, secondSum);
            chunk = next + 4 * step;
            even = LoadFour(weight, row, chunk, step, numChunks);
            if (TOutput.IsGateUp)
                secondEven = LoadFour(weight, secondRow, chunk, step, numChunks);
            sum = DotFour(odd, x, next, step, numChunks, sum);
            if (TOutput.IsGateUp)
                secondSum = DotFour(secondOdd, x, next, step, numChunks, secondSum);
        }
        if (isInside)
        {
            for (int k = numChunks * TFormat.Width + Group.IdxX; k < shape.InFeatures; k += step)
            {
                sum = TFormat.DotOne(weight[row + k], x[k], sum);
                if (TOutput.IsGateUp)
                    secondSum = TFormat.DotOne(weight[secondRow + k], x[k], secondSum);
            }
        }
        sum = GroupOps.WarpSum(sum);
        if (TOutput.IsGateUp)
            secondSum = GroupOps.WarpSum(secondSum);
        if (Group.IdxX != 0 || !isInside)
            return;
        if (shape.HasBias != 0)
        {
            sum += bias[feature];
            if (TOutput.IsGateUp)
                secondSum += bias[second];
        }
        TOutput.Write(output, index, TOutput.IsGateUp ? DeviceMath.Silu(sum) * secondSum : sum);
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

    private static float DotFour(Four<TRaw> chunks, ArrayView<TX> x, int chunk, int step, int numChunks, float sum)
    {
        int k = chunk * TFormat.Width, next = step * TFormat.Width;
        if (chunk < numChunks)
            sum = TFormat.Dot(chunks.A, x, k, sum);
        if (chunk + step < numChunks)
            sum = TFormat.Dot(chunks.B, x, k + next, sum);
        if (chunk + 2 * step < numChunks)
            sum = TFormat.Dot(chunks.C, x, k + 2 * next, sum);
        if (chunk + 3 * step < numChunks)
            sum = TFormat.Dot(chunks.D, x, k + 3 * next, sum);
        return sum;
    }
}

/// <summary>The sizes of a product of one row.</summary>
internal struct GemvShape
{
    public int NumOutputs;
    public int InFeatures;
    public int HasBias;

    /// <summary>For gate and up: how many rows after its gate row an up row lies.</summary>
    public int UpOffset;

    /// <summary>The row of an output's gate: rows lie in blocks of <see cref="UpOffset"/>, gate and up by turns.</summary>
    public readonly int GateRow(int index) => index / UpOffset * (2 * UpOffset) + index % UpOffset;

    public readonly int NumChunks(int width) => InFeatures / width;
}

/// <summary>How a product of one row reads weights and the row.</summary>
internal interface IRowFormat<TStorage, TRaw, TX>
    where TStorage : unmanaged
    where TRaw : unmanaged
    where TX : unmanaged
{
    /// <summary>Elements in a chunk.</summary>
    static abstract int Width { get; }

    static abstract TRaw Load(ArrayView<TStorage> source, long element);

    /// <summary>sum + chunk . x[element...], added from left to right.</summary>
    static abstract float Dot(TRaw chunk, ArrayView<TX> x, long element, float sum);

    /// <summary>sum + weight * x.</summary>
    static abstract float DotOne(TStorage weight, TX x, float sum);
}

/// <summary>Any weights, a row of floats.</summary>
internal readonly struct FloatRow<TFormat, TStorage, TRaw, TChunk> : IRowFormat<TStorage, TRaw, float>
    where TFormat : struct, IChunkFormat<TStorage, TRaw, TChunk>
    where TStorage : unmanaged
    where TRaw : unmanaged
    where TChunk : unmanaged
{
    public static int Width => TFormat.Width;

    public static TRaw Load(ArrayView<TStorage> source, long element) => TFormat.Load(source, element);

    public static float Dot(TRaw chunk, ArrayView<float> x, long element, float sum) => TFormat.Dot(TFormat.Widen(chunk), x, element, sum);

    public static float DotOne(TStorage weight, float x, float sum) => sum + TFormat.WidenOne(weight) * x;
}

/// <summary>Halves times a row of halves, 16-byte aligned both.</summary>
internal readonly struct HalfRow : IRowFormat<ushort, UInt4, ushort>
{
    public static int Width => F16Vector.Width;

    public static UInt4 Load(ArrayView<ushort> source, long element) => F16Vector.Load(source, element);

    public static float Dot(UInt4 chunk, ArrayView<ushort> x, long element, float sum)
    {
        Float8 a = Chunks.WidenHalves(chunk), b = Chunks.WidenHalves(F16Vector.Load(x, element));
        return Chunks.Dot(a.High, b.High, Chunks.Dot(a.Low, b.Low, sum));
    }

    public static float DotOne(ushort weight, ushort x, float sum) => sum + F16Element.Widen(weight) * F16Element.Widen(x);
}

/// <summary>What a product of one row does with its sums.</summary>
internal interface IGemvOutput<TOut>
    where TOut : unmanaged
{
    static abstract bool IsGateUp { get; }

    static abstract void Write(ArrayView<TOut> output, int index, float value);
}

/// <summary>Stores floats.</summary>
internal readonly struct StoreFloats : IGemvOutput<float>
{
    public static bool IsGateUp => false;

    public static void Write(ArrayView<float> output, int index, float value) => output[index] = value;
}

/// <summary>Adds to floats.</summary>
internal readonly struct AddFloats : IGemvOutput<float>
{
    public static bool IsGateUp => false;

    public static void Write(ArrayView<float> output, int index, float value) => output[index] += value;
}

/// <summary>Stores halves.</summary>
internal readonly struct StoreHalves : IGemvOutput<ushort>
{
    public static bool IsGateUp => false;

    public static void Write(ArrayView<ushort> output, int index, float value) => output[index] = F16Element.Narrow(value);
}

/// <summary>Stores silu(gate) * up.</summary>
internal readonly struct StoreSiluMul<TElement, T> : IGemvOutput<T>
    where TElement : struct, IElement<T>
    where T : unmanaged
{
    public static bool IsGateUp => true;

    public static void Write(ArrayView<T> output, int index, float value) => output[index] = TElement.Narrow(value);
}
