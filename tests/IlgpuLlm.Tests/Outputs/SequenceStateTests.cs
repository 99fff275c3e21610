using IlgpuLlm.DemoModel;
using IlgpuLlm.Engine;
using IlgpuLlm.Execution;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.Outputs;

namespace IlgpuLlm.Tests.Outputs;

[TestClass]
public sealed class SequenceStateTests
{
    [TestMethod]
    [DataRow("x")]
    [DataRow("xx")]
    [DataRow("xxx")]
    [DataRow("xxxx")]
    public void Snapshot_DeltasWithTextHeldBack_NeverSplitACharacter(string stop)
    {
        const string Text = "a\U0001F600b\U0001F600\U0001F600c";
        var tokenizer = TextTokenizer.Load(DemoModelFolder.FullPath);
        var sequence = new SequenceState(0, new SamplingParams { Stop = [stop] }, tokenizer.CreateDetokenizer([1]));
        int[] ids = tokenizer.Encode(Text, addSpecialTokens: false);
        string shown = "";
        for (int i = 0; i < ids.Length; i++)
        {
            FinishReason? finish = i == ids.Length - 1 ? FinishReason.Length : null;
            sequence.Append(new EngineCoreOutput(null!, new ModelRunnerRow(ids[i], null, null, null), finish, null));
            string delta = sequence.Snapshot(delta: true).Text;
            Assert.IsFalse(delta.Length > 0 && (char.IsLowSurrogate(delta[0]) || char.IsHighSurrogate(delta[^1])), $"token {i}");
            shown += delta;
        }
        Assert.AreEqual(Text, shown.TrimStart());
    }
}
