namespace IlgpuLlm.Scheduling;

/// <summary>Where a request is in its life.</summary>
internal enum RequestStatus
{
    Waiting,
    Running,
    Preempted,
    Finished,
}
