namespace IlgpuLlm.Scheduling;

/// <summary>What one step computes: requests and how many tokens of each. One instance, refilled by every step.</summary>
internal sealed class SchedulerOutput
{
    private readonly Request[] _requests;
    private readonly int[] _numScheduledTokens;

    public SchedulerOutput(int maxNumSeqs)
    {
        _requests = new Request[maxNumSeqs];
        _numScheduledTokens = new int[maxNumSeqs];
    }

    /// <summary>The requests of this step.</summary>
    public ReadOnlySpan<Request> Requests => _requests.AsSpan(0, Count);

    /// <summary>How many tokens of each request, from its NumComputedTokens on.</summary>
    public ReadOnlySpan<int> NumScheduledTokens => _numScheduledTokens.AsSpan(0, Count);

    public int Count { get; private set; }

    public int TotalNumScheduledTokens { get; private set; }

    public void Add(Request request, int numTokens)
    {
        _requests[Count] = request;
        _numScheduledTokens[Count++] = numTokens;
        TotalNumScheduledTokens += numTokens;
    }

    public void Clear()
    {
        Array.Clear(_requests, 0, Count);
        Count = TotalNumScheduledTokens = 0;
    }
}
