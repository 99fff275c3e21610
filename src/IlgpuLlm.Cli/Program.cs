using System.Runtime.InteropServices;
using IlgpuLlm.Cli;

using var cancellation = new CancellationTokenSource();
var console = CliConsole.OfProcess();
// The first Ctrl-C ends the request and lets the program say goodbye; the second ends the program. A command may take it for less.
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
{
    if (console.Interrupts.Raise())
    {
        context.Cancel = true;
        return;
    }
    context.Cancel = !cancellation.IsCancellationRequested;
    cancellation.Cancel();
});
return await CommandLineApp.RunAsync(args, console, cancellation.Token);
