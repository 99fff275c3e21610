namespace IlgpuLlm.Tests.Loading;

/// <summary>Asserts on errors of loading.</summary>
internal static class CheckpointErrors
{
    /// <summary>The action must fail with a one-line CheckpointException about the file, whose message has all the parts.</summary>
    public static void Expect(Action action, string file, params string[] parts)
    {
        var error = Assert.ThrowsExactly<CheckpointException>(action);
        Assert.AreEqual(file, error.File);
        Assert.StartsWith($"{file}: ", error.Message);
        foreach (string part in parts)
            Assert.Contains(part, error.Message);
        Assert.DoesNotContain("\n", error.Message);
    }
}
