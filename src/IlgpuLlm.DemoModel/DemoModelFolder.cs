namespace IlgpuLlm.DemoModel;

/// <summary>Where the embedded default model lies: folders in Hugging Face layout, copied beside the program at build; they are not downloaded.</summary>
public static class DemoModelFolder
{
    /// <summary>The full path of the model in float16.</summary>
    public static string FullPath => Path.Combine(AppContext.BaseDirectory, "demo-model");

    /// <summary>The full path of the same model in 4 bits, by <c>ilgpullm quantize</c>.</summary>
    public static string Int4Path => Path.Combine(AppContext.BaseDirectory, "demo-model-int4");
}
