using IlgpuLlm.Engine;
using IlgpuLlm.Execution;

namespace IlgpuLlm.Scheduling;

/// <summary>
/// Continuous batching, first come first served: running requests come first, waiting ones fill the rest of the token budget, long prompts in
/// chunks. There is no prefill or decode phase: a request has tokens that are not computed yet, and a step computes some of them. When blocks run
/// out, the newest running request gives up its own and is recomputed later.
/// </summary>
/// <remarks>
/// A step may be scheduled before the results of the one before it are known. Then a request's last token is pending: it counts as a token to compute, and
/// only what its value decides comes late. A request that ends by its value has by then been scheduled once more; that result is dropped. Blocks are free as
/// soon as a request ends, though a step under way may still write to them: the device runs steps in order, so whoever gets them next writes later.
/// </remarks>
internal sealed class Scheduler
{
    private readonly SchedulerConfig _config;
    private readonly KvCacheManager _kvCache;
    private readonly SchedulerOutput _even, _odd;
    private SchedulerOutput _output;
    private readonly LinkedList<Request> _waiting = new();
    private readonly List<Request> _running = [];
    private readonly Dictionary<string, Request> _requests = [];

    public Scheduler(SchedulerConfig config, KvCacheManager kvCache)
    {
        _config = config;
        _kvCache = kvCache;
        _even = _output = new SchedulerOutput(config.MaxNumSeqs);
        _odd = new SchedulerOutput(config.MaxNumSeqs);
    }

    public int NumRunning => _running.Count;

    public int NumWaiting => _waiting.Count;

    public bool HasUnfinishedRequests => _requests.Count > 0;

    /// <summary>KV cache blocks that no request holds.</summary>
    public int NumFreeBlocks => _kvCache.Pool.NumFreeBlocks;

    /// <summary>How often a request had to give up its blocks.</summary>
    public long NumPreemptions { get; private set; }

    /// <summary>Queues a request.</summary>
    /// <exception cref="InvalidRequestException">The id is in use, or the request can never fit the cache.</exception>
    public void Add(Request request)
    {
        if (!_kvCache.CanEverFit(request))
        {
            int numBlocks = _kvCache.Pool.NumBlocks, blockSize = _kvCache.BlockSize;
            throw new InvalidRequestException("max_tokens",
                $"{request.NumPromptTokens} prompt tokens and {request.MaxTokens} new ones need {request.MaxBlocks} KV cache blocks of {blockSize} tokens; "
                + $"the cache has {numBlocks}, enough for {(long)numBlocks * blockSize + 1} tokens");
        }
        if (!_requests.TryAdd(request.Id, request))
            throw new InvalidRequestException("request_id", $"'{request.Id}' is in use by an unfinished request");
        _waiting.AddLast(request);
    }

    /// <summary>Ends a request and frees its blocks at once. Unknown ids are ignored: the request may just have finished.</summary>
    public void Abort(string requestId)
    {
        if (!_requests.TryGetValue(requestId, out var request))
            return;
        if (request.Status == RequestStatus.Running)
            _running.Remove(request);
        else
            _waiting.Remove(request);
        Finish(request);
    }

    /// <summary>
    /// Chooses what the next step computes. The result is valid until the call after the next, so that the step before it can still be under way; of older
    /// steps the results must have been taken over.
    /// </summary>
    public SchedulerOutput Schedule()
    {
        _output = _output == _even ? _odd : _even;
        _output.Clear();
        int budget = _config.MaxNumBatchedTokens;
        bool preempted = ScheduleRunning(ref budget);
        // While blocks are short, nobody new is let in: the new one would be the next to be preempted.
        if (!preempted)
            ScheduleWaiting(budget);
        return _output;
    }

    /// <summary>Takes over what a step computed: appends tokens, ends requests. Steps come in order.</summary>
    /// <param name="scheduled">The step.</param>
    /// <param name="result">What it made.</param>
    /// <param name="outputs">Gets an item for each request that made progress.</param>
    public void Update(SchedulerOutput scheduled, ModelRunnerOutput result, EngineCoreOutputs outputs)
    {
        bool anyFinished = false;
        for (int i = 0; i < scheduled.Count; i++)
        {
            var request = scheduled.Requests[i];
            if (request.Status == RequestStatus.Finished)
                continue; // aborted, or ended by a token, since the step was scheduled
            var row = result.Rows[i];
            FinishReason? finish = null;
            int? stopToken = null;
            if (row.Error is not null)
            {
                finish = FinishReason.Error;
            }
            else if (scheduled.Samples[i])
            {
                request.NumPendingTokens--;
                request.AppendToken(row.SampledTokenId);
                finish = StopReason(request, row.SampledTokenId, out stopToken);
            }
            else if (row.PromptLogprobs is null)
            {
                continue;
            }
            outputs.Add(new EngineCoreOutput(request, row, finish, stopToken));
            if (finish is null)
                continue;
            anyFinished |= request.Status == RequestStatus.Running;
            if (request.Status == RequestStatus.Preempted)
                _waiting.Remove(request); // it gave up its blocks for the next step, and its last token came after all
            Finish(request);
        }
        if (anyFinished)
            _running.RemoveAll(static request => request.Status == RequestStatus.Finished); // in order: the others keep their places in the queue for blocks
    }

    private bool ScheduleRunning(ref int budget)
    {
        bool preempted = false;
        for (int i = 0; i < _running.Count && budget > 0; i++)
        {
            var request = _running[i];
            if (EndsWithPendingTokens(request))
                continue;
            int numNewTokens = Math.Min(request.NumTokens + request.NumPendingTokens - request.NumComputedTokens, budget);
            while (!_kvCache.TryAllocateSlots(request, numNewTokens))
            {
                preempted = true;
                var newest = _running[^1];
                Preempt(newest);
                if (newest == request)
                    return true;
            }
            Add(request, numNewTokens);
            budget -= numNewTokens;
        }
        return preempted;
    }

    private void ScheduleWaiting(int budget)
    {
        while (budget > 0 && _waiting.First is { } first && _running.Count < _config.MaxNumSeqs)
        {
            var request = first.Value;
            int numNewTokens = Math.Min(request.NumTokens, budget);
            if (!_kvCache.TryAllocateSlots(request, numNewTokens))
                return;
            _waiting.RemoveFirst();
            request.Status = RequestStatus.Running;
            _running.Add(request);
            Add(request, numNewTokens);
            budget -= numNewTokens;
        }
    }

    private void Add(Request request, int numNewTokens)
    {
        _output.Add(request, numNewTokens);
        if (_output.Samples[^1])
            request.NumPendingTokens++;
        request.NumComputedTokens += numNewTokens;
    }

    /// <summary>Whether the tokens under way are the request's last ones, whatever they are.</summary>
    private bool EndsWithPendingTokens(Request request) => request.NumPendingTokens > 0
        && (request.NumOutputTokens + request.NumPendingTokens >= request.MaxTokens || request.NumTokens + request.NumPendingTokens >= _config.MaxModelLen);

    private void Preempt(Request request)
    {
        _running.RemoveAt(_running.Count - 1);
        _kvCache.Free(request);
        request.NumComputedTokens = 0;
        request.NumPreemptions++;
        request.Status = RequestStatus.Preempted;
        _waiting.AddFirst(request);
        NumPreemptions++;
    }

    private FinishReason? StopReason(Request request, int tokenId, out int? stopToken)
    {
        stopToken = null;
        if (request.NumOutputTokens >= request.Sampling.MinTokens)
        {
            if (!request.Sampling.IgnoreEos && request.EosTokenIds.AsSpan().Contains(tokenId))
                return FinishReason.Stop;
            if (request.StopTokenIds.AsSpan().Contains(tokenId))
            {
                stopToken = tokenId;
                return FinishReason.Stop;
            }
        }
        return request.NumOutputTokens >= request.MaxTokens || request.NumTokens >= _config.MaxModelLen ? FinishReason.Length : null;
    }

    private void Finish(Request request)
    {
        request.Status = RequestStatus.Finished;
        _kvCache.Free(request);
        _requests.Remove(request.Id);
    }
}
