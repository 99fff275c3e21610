using System.Text;
using System.Text.Json;

namespace IlgpuLlm.Bench;

/// <summary>Reads files of JSON that users bring; what is wrong is a <see cref="BenchException"/>.</summary>
internal static class JsonFile
{
    /// <summary>Reads a text.</summary>
    /// <exception cref="BenchException">It cannot be read or is not UTF-8.</exception>
    public static string ReadText(string file)
    {
        try
        {
            return Files.Try(file, "cannot be read", () => File.ReadAllText(file, new UTF8Encoding(false, throwOnInvalidBytes: true)));
        }
        catch (BenchException e) when (e.InnerException is DecoderFallbackException)
        {
            throw new BenchException(file, "is not UTF-8", e.InnerException);
        }
    }

    /// <summary>Makes an object of a text.</summary>
    /// <param name="file">The file, for errors.</param>
    /// <param name="json">The text.</param>
    /// <param name="options">How it is read.</param>
    /// <param name="what">What it should be, for errors.</param>
    /// <exception cref="BenchException">It is something else.</exception>
    public static T Parse<T>(string file, string json, JsonSerializerOptions options, string what)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(json, options) ?? throw new BenchException(file, $"is null, not {what}");
        }
        catch (JsonException e)
        {
            throw new BenchException(file, $"is not {what}: {e.Message}", e);
        }
    }
}
