namespace IlgpuLlm.Kernels.Cpu.Simd;

internal readonly unsafe partial struct SimdScalar
{
    public static float BroadcastBits(int* source) => BitConverter.Int32BitsToSingle(*source);

    public static void SplitNibbles(byte* source, out float low, out float high)
    {
        uint bytes = *(uint*)source;
        low = BitConverter.UInt32BitsToSingle(bytes & 0x0F0F0F0F);
        high = BitConverter.UInt32BitsToSingle((bytes >> 4) & 0x0F0F0F0F);
    }

    public static void SplitBytes(byte* source, out float even, out float odd)
    {
        uint bytes = *(uint*)source;
        even = BitConverter.UInt32BitsToSingle(bytes & 0x00FF00FF);
        odd = BitConverter.UInt32BitsToSingle((bytes >> 8) & 0x00FF00FF);
    }

    public static float MultiplyBytes(float codes, float signed)
    {
        uint c = BitConverter.SingleToUInt32Bits(codes), s = BitConverter.SingleToUInt32Bits(signed);
        return Shorts(Product(0) + Product(8), Product(16) + Product(24));
        int Product(int shift) => (byte)(c >> shift) * (sbyte)(s >> shift);
    }

    public static float AddShorts(float a, float b) => Shorts(Low(a) + Low(b), High(a) + High(b));

    public static float MultiplyShorts(float a, float b) => BitConverter.Int32BitsToSingle(Low(a) * Low(b) + High(a) * High(b));

    public static float AddInts(float a, float b) => BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(a) + BitConverter.SingleToInt32Bits(b));

    public static float ShortsToFloats(float shorts) => Low(shorts) + High(shorts);

    public static float IntsToFloats(float ints) => BitConverter.SingleToInt32Bits(ints);

    public static void StoreBytes(float integers, sbyte* destination) => *destination = (sbyte)float.ConvertToIntegerNative<int>(integers);

    private static int Low(float shorts) => (short)BitConverter.SingleToInt32Bits(shorts);

    private static int High(float shorts) => BitConverter.SingleToInt32Bits(shorts) >> 16;

    private static float Shorts(int low, int high) => BitConverter.Int32BitsToSingle((low & 0xFFFF) | high << 16);
}
