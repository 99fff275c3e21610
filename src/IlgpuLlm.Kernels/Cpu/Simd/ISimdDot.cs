namespace IlgpuLlm.Kernels.Cpu.Simd;

/// <summary>
/// Products of codes and 8-bit activations. A vector of floats serves as so many bits here; a 32-bit lane belongs to one output. All of it is exact, so that
/// every width gives the same bits. (.NET 10 has VNNI up to 256 bits alone: without it multiply-adds of bytes and of shorts are two instructions instead of one.)
/// </summary>
internal unsafe interface ISimdDot<TVec>
    where TVec : unmanaged
{
    /// <summary>The same 32 bits in every lane.</summary>
    static abstract TVec BroadcastBits(int* source);

    /// <summary>The lower and the upper four bits of each byte.</summary>
    static abstract void SplitNibbles(byte* source, out TVec low, out TVec high);

    /// <summary>Bytes 0 and 2, and bytes 1 and 3, of each lane as shorts.</summary>
    static abstract void SplitBytes(byte* source, out TVec even, out TVec odd);

    /// <summary>Unsigned bytes up to 15 times signed ones: the sums of neighbours, as shorts.</summary>
    static abstract TVec MultiplyBytes(TVec codes, TVec signed);

    static abstract TVec AddShorts(TVec a, TVec b);

    /// <summary>Shorts times shorts: the sums of neighbours, as integers.</summary>
    static abstract TVec MultiplyShorts(TVec a, TVec b);

    static abstract TVec AddInts(TVec a, TVec b);

    /// <summary>The sums of neighbouring shorts, as floats.</summary>
    static abstract TVec ShortsToFloats(TVec shorts);

    static abstract TVec IntsToFloats(TVec ints);

    /// <summary>Whether four bytes times four bytes are one instruction: <see cref="LoadCodes"/> and <see cref="AddDots"/> then take the place of all that knows shorts.</summary>
    static virtual bool HasDots => false;

    /// <summary>What <see cref="LoadCodes"/> takes off each code.</summary>
    static virtual int CodeOffset => 0;

    /// <summary>A vector of 8-bit codes, as <see cref="AddDots"/> takes them.</summary>
    static virtual TVec LoadCodes(byte* source) => throw new NotSupportedException();

    /// <summary>Integers, and what four vectors of codes give with 16 activations: in each lane four codes of a vector times the four activations that are the vector's.</summary>
    static virtual TVec AddDots(TVec ints, TVec codes0, TVec codes1, TVec codes2, TVec codes3, sbyte* x) => throw new NotSupportedException();

    /// <summary>Integral floats from -127 to 127 as bytes.</summary>
    static abstract void StoreBytes(TVec integers, sbyte* destination);
}
