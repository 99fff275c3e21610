using System.CommandLine;
using IlgpuLlm.Tools;

var root = new RootCommand("Developers' tools of IlgpuLlm.")
{
    RandomCheckpointCommand.Create(), StepAllocationsCommand.Create(), LoadMemoryCommand.Create(), CompareTop1Command.Create(), GemmCommand.Create(),
    AttentionCommand.Create(), QuantizedCommand.Create(), CompareReportsCommand.Create(),
    ReportCommand.Create(),
};
return root.Parse(args).Invoke();
