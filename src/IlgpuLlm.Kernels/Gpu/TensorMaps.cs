using IlgpuLlm.Kernels.Gpu.Ptx;
using IlgpuLlm.Kernels.Interop;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// Tensor maps in device memory, made when first asked for. A map says nothing but what it is asked by, so it never grows stale; it is also never
/// overwritten, as devices cache maps.
/// </summary>
internal sealed class TensorMaps(GpuDevice device) : IDisposable
{
    private const int MapsInSlab = 1024;

    private readonly Dictionary<Key, nint> _maps = [];
    private readonly List<GpuBuffer> _slabs = [];

    /// <summary>
    /// The device address of the map of a row-major matrix of halves [<paramref name="rows"/>, <paramref name="columns"/>] with boxes of
    /// <paramref name="boxRows"/> rows and <see cref="Wgmma.TileK"/> columns. Allocates only for a new one; may be called while a stream is captured.
    /// </summary>
    public nint Get(nint address, int rows, int columns, int boxRows) => Get(address, ElementType.F16, rows, columns, boxRows, Wgmma.TileK);

    /// <summary>
    /// The same for a matrix of halves or floats and boxes of <paramref name="boxColumns"/> columns: 64 or 128 bytes, which is also what boxes are swizzled by.
    /// </summary>
    public nint Get(nint address, ElementType type, int rows, int columns, int boxRows, int boxColumns)
    {
        var key = new Key(address, type, rows, columns, boxRows, boxColumns);
        if (!_maps.TryGetValue(key, out nint map))
            _maps.Add(key, map = Create(key));
        return map;
    }

    public void Dispose()
    {
        foreach (var slab in _slabs)
            slab.Dispose();
    }

    private nint Create(Key key)
    {
        int index = _maps.Count % MapsInSlab;
        if (index == 0)
            _slabs.Add(GpuBuffer.Allocate(device, ElementType.F32, MapsInSlab * CudaDriver.TensorMapBytes / sizeof(float)));
        nint target = _slabs[^1].Address + index * CudaDriver.TensorMapBytes;
        var staging = device.RentStaging(); // has a stream of its own, which is not being captured
        try
        {
            var map = staging.NextHalf()[..CudaDriver.TensorMapBytes];
            CudaDriver.EncodeTensorMap(map, key.Address, key.Type == ElementType.F32, key.Rows, key.Columns, key.BoxRows, key.BoxColumns);
            staging.CopyToDevice(target, CudaDriver.TensorMapBytes);
            staging.Wait(); // and no event for the operations' stream: it may be recording
        }
        finally
        {
            device.ReturnStaging(staging);
        }
        return target;
    }

    private readonly record struct Key(nint Address, ElementType Type, int Rows, int Columns, int BoxRows, int BoxColumns);
}
