using System.CommandLine;
using IlgpuLlm.Cli.Options;
using IlgpuLlm.Cli.Output;

namespace IlgpuLlm.Cli.Commands;

/// <summary><c>ilgpullm info</c>: devices, model and memory plan, without loading weights.</summary>
internal static class InfoCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CliConsole console)
    {
        var engine = new EngineOptionSet();
        var command = new Command("info", "Prints the devices, the model and the memory plan, without loading weights.");
        engine.AddTo(command);
        command.SetAction(parse =>
        {
            var options = engine.Read(parse);
            var report = new InfoReport(SpectreConsoles.ForOut(console));
            // Devices first: a model that does not fit is told with the plan in the error.
            report.WriteDevices(options.NumThreads);
            console.Out.Flush();
            var info = LLM.Inspect(options);
            report.WriteModel(info);
            report.WriteMemory(info.Memory);
            return ExitCode.Success;
        });
        return command;
    }
}
