using System.Runtime.InteropServices;
using IlgpuLlm.Cli;

using var cancellation = new CancellationTokenSource();
// The first Ctrl-C ends the request and lets the program say goodbye; the second ends the program.
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
{
    context.Cancel = !cancellation.IsCancellationRequested;
    cancellation.Cancel();
});
return await CommandLineApp.RunAsync(args, CliConsole.OfProcess(), cancellation.Token);
