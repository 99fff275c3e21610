namespace IlgpuLlm.DemoModel;

/// <summary>Where the embedded default model lies: a folder in Hugging Face layout, copied beside the program at build.</summary>
public static class DemoModelFolder
{
    /// <summary>The full path of the model folder. The folder is part of the program's output; it is not downloaded.</summary>
    public static string FullPath => Path.Combine(AppContext.BaseDirectory, "demo-model");
}
