namespace IlgpuLlm.Scheduling;

/// <summary>What one step computes: requests and how many tokens of each. One instance, refilled by every step.</summary>
internal sealed class SchedulerOutput
{
    private readonly Request[] _requests;
    private readonly int[] _numScheduledTokens;
    private readonly int[] _firstPositions;
    private readonly bool[] _samples;

    public SchedulerOutput(int maxNumSeqs)
    {
        _requests = new Request[maxNumSeqs];
        _numScheduledTokens = new int[maxNumSeqs];
        _firstPositions = new int[maxNumSeqs];
        _samples = new bool[maxNumSeqs];
    }

    /// <summary>The requests of this step.</summary>
    public ReadOnlySpan<Request> Requests => _requests.AsSpan(0, Count);

    /// <summary>How many tokens of each request.</summary>
    public ReadOnlySpan<int> NumScheduledTokens => _numScheduledTokens.AsSpan(0, Count);

    /// <summary>The position of the first of them.</summary>
    public ReadOnlySpan<int> FirstPositions => _firstPositions.AsSpan(0, Count);

    /// <summary>Whether a new token follows them: the request's last token, known or pending, is among them.</summary>
    public ReadOnlySpan<bool> Samples => _samples.AsSpan(0, Count);

    public int Count { get; private set; }

    public int TotalNumScheduledTokens { get; private set; }

    public void Add(Request request, int numTokens)
    {
        _requests[Count] = request;
        _firstPositions[Count] = request.NumComputedTokens;
        _samples[Count] = request.NumComputedTokens + numTokens == request.NumTokens + request.NumPendingTokens;
        _numScheduledTokens[Count++] = numTokens;
        TotalNumScheduledTokens += numTokens;
    }

    public void Clear()
    {
        Array.Clear(_requests, 0, Count);
        Count = TotalNumScheduledTokens = 0;
    }
}
