namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// The vector operations that kernels are written over, once for all widths. Kernels take it as a type argument, so that the JIT compiles each
/// width to its own instructions. All lanes compute the same IEEE operations, and multiplies are fused with adds in all widths of a machine or in
/// none: a value does not depend on the lane, nor on whether a tail was computed by <see cref="SimdScalar"/>.
/// </summary>
/// <typeparam name="TVec">The vector of floats.</typeparam>
internal unsafe interface ISimd<TVec> : ISimdDot<TVec>
    where TVec : unmanaged
{
    /// <summary>Whether this machine has instructions of this width.</summary>
    static abstract bool IsSupported { get; }

    /// <summary>Floats in a vector.</summary>
    static abstract int Count { get; }

    /// <summary>Rows of the largest register tile: 2 vectors a row, and 2 more for the weights, must fit into the registers.</summary>
    static abstract int TileRows { get; }

    static abstract TVec Broadcast(float value);

    static abstract TVec Load(float* source);

    /// <summary>Loads halves and widens them exactly: subnormals, infinities and NaN included.</summary>
    static abstract TVec LoadHalf(ushort* source);

    /// <summary>Loads codes of <see cref="PackedHalf"/> as floats of 2^-102 times their value; finite halves as floats of 2^-112 times theirs.</summary>
    static abstract TVec LoadPackedHalf(ushort* source);

    /// <summary>Loads a vector's length of unsigned bytes as floats.</summary>
    static abstract TVec LoadBytes(byte* source);

    /// <summary>Loads a vector's length of bytes as two vectors of floats: the lower four bits of each, and the upper four.</summary>
    static abstract void LoadNibbles(byte* source, out TVec low, out TVec high);

    static abstract void Store(TVec value, float* destination);

    static abstract TVec Add(TVec a, TVec b);

    static abstract TVec Sub(TVec a, TVec b);

    static abstract TVec Mul(TVec a, TVec b);

    static abstract TVec Div(TVec a, TVec b);

    /// <summary>a * b + c.</summary>
    static abstract TVec MulAdd(TVec a, TVec b, TVec c);

    /// <summary>The larger one; <paramref name="b"/> where it is NaN.</summary>
    static abstract TVec Max(TVec a, TVec b);

    /// <summary>The smaller one; <paramref name="b"/> where it is NaN.</summary>
    static abstract TVec Min(TVec a, TVec b);

    /// <summary>2^n for integral n in [-126, 127]; zero for -127.</summary>
    static abstract TVec PowerOfTwo(TVec n);

    /// <summary>The sum over the lanes, in a fixed order.</summary>
    static abstract float Sum(TVec a);

    /// <summary>The largest lane.</summary>
    static abstract float MaxAcross(TVec a);

    /// <summary>The sums over the lanes of <see cref="Count"/> vectors, each as <see cref="Sum"/> computes it.</summary>
    static abstract TVec Sums(TVec* vectors);
}
