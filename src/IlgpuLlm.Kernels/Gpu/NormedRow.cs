using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// A row of floats that a group normalizes into its dynamic shared memory, as halves, to multiply by it: x / sqrt(mean(x^2) + epsilon) * weight. At one row this spares a
/// kernel between two others, in which the device has nothing else to do. The norm's weight is requested before the kernel waits for the row.
/// </summary>
internal static class NormedRow
{
    /// <summary>Elements of the longest row.</summary>
    public const int MaxWidth = 8192;

    private const int ScratchLength = 32; // a float a warp

    /// <summary>The dynamic shared memory that a row needs.</summary>
    public static int SharedBytes(int width) => ScratchLength * sizeof(float) + width * sizeof(ushort);

    /// <summary>1 / sqrt(mean + epsilon), of the lanes' sums of squares.</summary>
    public static float Scale(float squares, ArrayView<float> scratch, int width, float epsilon) =>
        1f / MathF.Sqrt(GroupOps.Sum(squares, scratch) / width + epsilon);

    /// <summary>x * scale * weight.</summary>
    public static Float4 Scaled(Float4 x, float scale, Float4 weight) => new()
    {
        X = x.X * scale * weight.X,
        Y = x.Y * scale * weight.Y,
        Z = x.Z * scale * weight.Z,
        W = x.W * scale * weight.W,
    };

    /// <summary>A lane's first eight vectors of a row of a multiple of 4 elements.</summary>
    public static Two<Four<Float4>> Request(ArrayView<float> row, int width) =>
        new() { A = LoadFour(row, GroupOps.Lane, width / 4), B = LoadFour(row, GroupOps.Lane + 4 * GroupOps.NumLanes, width / 4) };

    /// <summary>Normalizes the row, after which all lanes may read it.</summary>
    /// <param name="x">The row.</param>
    /// <param name="weight">The norm's weight.</param>
    /// <param name="requested">What was requested of it.</param>
    /// <param name="width">Elements of the row, a multiple of 4.</param>
    /// <param name="epsilon">Added to the mean of the squares.</param>
    public static ArrayView<ushort> Make(ArrayView<float> x, ArrayView<float> weight, Two<Four<Float4>> requested, int width, float epsilon)
    {
        var shared = SharedMemory.GetDynamic<Float4>();
        var row = shared.SubView(ScratchLength / 4, shared.IntLength - ScratchLength / 4).Cast<ushort>();
        int lane = GroupOps.Lane, step = GroupOps.NumLanes, numVectors = width / 4;
        var own = Request(x, width);
        float squares = Squares(own.B, Squares(own.A, 0f));
        for (int i = lane + 8 * step; i < numVectors; i += step)
        {
            Float4 vector = Chunks.LoadVector(x, 4L * i);
            squares = Chunks.Dot(vector, vector, squares);
        }
        float scale = Scale(squares, shared.SubView(0, ScratchLength / 4).Cast<float>(), width, epsilon);
        Store(row, lane, numVectors, own.A, scale, requested.A);
        Store(row, lane + 4 * step, numVectors, own.B, scale, requested.B);
        for (int i = lane + 8 * step; i < numVectors; i += step)
            F16Element.Store4(row, 4L * i, Scaled(Chunks.LoadVector(x, 4L * i), scale, Chunks.LoadVector(weight, 4L * i)));
        GroupOps.Barrier();
        return row;
    }

    private static Four<Float4> LoadFour(ArrayView<float> row, int vector, int numVectors) => new()
    {
        A = Load(row, vector, numVectors),
        B = Load(row, vector + GroupOps.NumLanes, numVectors),
        C = Load(row, vector + 2 * GroupOps.NumLanes, numVectors),
        D = Load(row, vector + 3 * GroupOps.NumLanes, numVectors),
    };

    private static Float4 Load(ArrayView<float> row, int vector, int numVectors)
    {
        Float4 none = default;
        return vector < numVectors ? Chunks.LoadVector(row, 4L * vector) : none;
    }

    private static float Squares(Four<Float4> own, float sum) =>
        Chunks.Dot(own.D, own.D, Chunks.Dot(own.C, own.C, Chunks.Dot(own.B, own.B, Chunks.Dot(own.A, own.A, sum))));

    private static void Store(ArrayView<ushort> row, int vector, int numVectors, Four<Float4> own, float scale, Four<Float4> weight)
    {
        int step = GroupOps.NumLanes;
        if (vector < numVectors)
            F16Element.Store4(row, 4L * vector, Scaled(own.A, scale, weight.A));
        if (vector + step < numVectors)
            F16Element.Store4(row, 4L * (vector + step), Scaled(own.B, scale, weight.B));
        if (vector + 2 * step < numVectors)
            F16Element.Store4(row, 4L * (vector + 2 * step), Scaled(own.C, scale, weight.C));
        if (vector + 3 * step < numVectors)
            F16Element.Store4(row, 4L * (vector + 3 * step), Scaled(own.D, scale, weight.D));
    }
}
