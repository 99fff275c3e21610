using System.Runtime.ExceptionServices;

namespace IlgpuLlm.Loading;

/// <summary>Loading on several threads.</summary>
internal static class ParallelLoad
{
    /// <summary>Calls <paramref name="load"/> with 0 to <paramref name="count"/> - 1, from several threads.</summary>
    /// <param name="count">Calls.</param>
    /// <param name="maxDegree">The most at a time; -1: as many as there are cores.</param>
    /// <param name="load">What is called; it may be parallel itself.</param>
    /// <exception cref="CheckpointException">One of the calls threw it.</exception>
    public static void For(int count, int maxDegree, Action<int> load)
    {
        try
        {
            Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = maxDegree }, load);
        }
        catch (AggregateException error) when (error.InnerException is CheckpointException inner)
        {
            ExceptionDispatchInfo.Throw(inner);
        }
    }
}
