using System.Linq.Expressions;
using ILGPU.Runtime;

namespace IlgpuLlm.Kernels.Gpu;

/// <summary>
/// A launcher that is there before its kernel is: the first launch waits until the kernel is loaded. Kernels are so compiled and loaded side by side, and
/// beside the loading of weights, while whoever launches them knows nothing of it. It costs a call through a delegate, some nanoseconds a launch.
/// </summary>
internal sealed class DeferredLauncher<TLauncher>
    where TLauncher : Delegate
{
    private readonly Task<Kernel> _loading;
    private TLauncher? _launcher;

    private DeferredLauncher(Task<Kernel> loading) => _loading = loading;

    /// <summary>The kernel's own launcher.</summary>
    public TLauncher Launcher => _launcher ??= _loading.GetAwaiter().GetResult().CreateLauncherDelegate<TLauncher>();

    /// <summary>Makes a launcher of a kernel that is loaded, or being loaded.</summary>
    public static TLauncher Create(Task<Kernel> loading)
    {
        if (loading.IsCompletedSuccessfully)
            return loading.Result.CreateLauncherDelegate<TLauncher>();
        var parameters = Array.ConvertAll(typeof(TLauncher).GetMethod("Invoke")!.GetParameters(), p => Expression.Parameter(p.ParameterType, p.Name));
        var launcher = Expression.Property(Expression.Constant(new DeferredLauncher<TLauncher>(loading)), nameof(Launcher));
        return Expression.Lambda<TLauncher>(Expression.Invoke(launcher, parameters), parameters).Compile();
    }
}
