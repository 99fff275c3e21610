using ILGPU;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// <see cref="RotaryKernel"/> into a cache of codes. A group, one warp, makes one head of one token: it finds the largest magnitude of a key or a value, then
/// makes the codes. Keys are rounded as activations first, as <see cref="DecodeInput"/> has them, so that both write the same codes.
/// </summary>
internal static class RotaryCodesBody<TActivation, TA>
    where TActivation : struct, IElement<TA>
    where TA : unmanaged
{
    internal static void Body(
        ArrayView<TA> qkv, ArrayView<float> table, ArrayView<int> tableRows, ArrayView<int> slots, ArrayView<byte> keys, ArrayView<byte> values,
        ArrayView<float> keyScales, ArrayView<float> valueScales, HeadLayout layout)
    {
        int headsInRow = layout.NumHeads + 2 * layout.NumKvHeads;
        int token = Grid.IdxX / headsInRow, head = Grid.IdxX % headsInRow, half = layout.HeadDim / 2;
        long from = ((long)token * headsInRow + head) * layout.HeadDim;
        long angles = (long)tableRows[token] * layout.HeadDim;
        int slot = slots[token];
        if (head < layout.NumHeads)
        {
            for (int i = Group.IdxX; i < half; i += Group.DimX)
            {
                Pair rotated = Load(qkv, from + i, half, table, angles + i, isRotated: true);
                qkv[from + i] = rotated.First;
                qkv[from + half + i] = rotated.Second;
            }
            return;
        }
        if (slot < 0)
            return; // a row that only fills up a graph's batch

        bool isKey = head < layout.NumHeads + layout.NumKvHeads;
        uint largest = 0;
        for (int i = Group.IdxX; i < half; i += Group.DimX)
        {
            Pair pair = Load(qkv, from + i, half, table, angles + i, isKey);
            largest = IntrinsicMath.Max(largest, IntrinsicMath.Max(DeviceCodes.Magnitude(TActivation.Widen(pair.First)), DeviceCodes.Magnitude(TActivation.Widen(pair.Second))));
        }
        largest = GroupOps.WarpMax(largest);
        int kvHead = (head - layout.NumHeads) % layout.NumKvHeads;
        long row = layout.RowNumber(slot / layout.BlockSize, slot % layout.BlockSize, kvHead), to = row * layout.HeadDim;
        if (Group.IdxX == 0)
        {
            if (isKey)
                keyScales[row] = DeviceCodes.Scale(largest);
            else
                valueScales[row] = DeviceCodes.Scale(largest);
        }
        float inverse = DeviceCodes.Inverse(largest);
        for (int i = Group.IdxX; i < half; i += Group.DimX)
        {
            Pair pair = Load(qkv, from + i, half, table, angles + i, isKey);
            byte first = (byte)DeviceCodes.Byte(TActivation.Widen(pair.First), inverse), second = (byte)DeviceCodes.Byte(TActivation.Widen(pair.Second), inverse);
            if (isKey)
            {
                keys[to + i] = first;
                keys[to + half + i] = second;
            }
            else
            {
                values[to + i] = first;
                values[to + half + i] = second;
            }
        }
    }

    /// <summary>An element and its partner, rotated or as they are.</summary>
    private static Pair Load(ArrayView<TA> qkv, long at, int half, ArrayView<float> table, long angle, bool isRotated)
    {
        TA first = qkv[at], second = qkv[at + half];
        if (!isRotated)
            return new() { First = first, Second = second };
        float a = TActivation.Widen(first), b = TActivation.Widen(second), cos = table[angle], sin = table[angle + half];
        return new() { First = TActivation.Narrow(a * cos - b * sin), Second = TActivation.Narrow(b * cos + a * sin) };
    }

    private struct Pair
    {
        public TA First, Second;
    }
}
