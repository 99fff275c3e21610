using System.Text.Json;
using IlgpuLlm.Inputs.ChatTemplates;
using IlgpuLlm.Inputs.Tokenization;
using IlgpuLlm.Tests.Inputs.Tokenization;

namespace IlgpuLlm.Tests;

[TestClass]
public sealed class ChatTests
{
    private static readonly SamplingParams Greedy = new() { Temperature = 0, MaxTokens = 8, IgnoreEos = true };
    private static readonly ChatMessage[] Messages = [ChatMessage.System("Tales"), ChatMessage.User("Once upon"), ChatMessage.Assistant("a time"), ChatMessage.User("there")];
    private static readonly ChatTemplate Template = ChatTemplate.Parse(
        "{{ bos_token }}{% for m in messages %}{{ m.role[0] }}: {{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}");

    [TestMethod]
    public async Task Chat_Template_IsGenerateOfItsTokens()
    {
        const string Rendered = "<s>s: Tales</s>u: Once upon</s>a: a time</s>u: there</s>a:";
        var options = new ChatOptions { ChatTemplate = Template };
        using var llm = new LLM(new EngineOptions { Device = "cpu", NumBlocksOverride = 64 });
        Assert.AreEqual(Rendered, llm.ApplyChatTemplate(Messages, options));
        Assert.AreEqual(Rendered[..^2], llm.ApplyChatTemplate(Messages, options with { AddGenerationPrompt = false }));
        int[] ids = llm.Tokenizer!.Encode(Rendered, addSpecialTokens: false);
        Assert.AreEqual((1, 1), (ids[0], ids.Count(id => id == 1)), "one BOS, the template's own");
        Assert.AreEqual(4, ids.Count(id => id == 2));

        var answer = llm.Chat(Messages, Greedy, options);
        var expected = llm.Generate(Prompt.FromTokens(ids), Greedy);
        Assert.AreEqual((Rendered, expected.Outputs[0].Text), (answer.Prompt, answer.Outputs[0].Text));
        CollectionAssert.AreEqual(ids, answer.PromptTokenIds.ToArray());
        Assert.AreEqual(expected.Outputs[0].Text, llm.Chat([[ChatMessage.User("x")], Messages], Greedy, options)[1].Outputs[0].Text);

        await using var engine = await AsyncLLM.CreateAsync(new EngineOptions { Device = "cpu", NumBlocksOverride = 64 });
        string text = "";
        await foreach (var output in engine.ChatAsync(Messages, Greedy with { OutputKind = RequestOutputKind.Delta }, options))
            text += output.Outputs[0].Text;
        Assert.AreEqual(expected.Outputs[0].Text, text);
    }

    [TestMethod]
    public void Chat_ModelWithoutTemplate_SaysSo()
    {
        using var llm = new LLM(new EngineOptions { Device = "cpu", NumBlocksOverride = 64 });
        var error = Assert.ThrowsExactly<ChatTemplateException>(() => llm.Chat([ChatMessage.User("Hello")]));
        StringAssert.Contains(error.Message, "the model has no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json");
        Assert.AreEqual(llm.Info.ModelFolder, error.Template);
    }

    [TestMethod]
    public void Render_SeveralTemplates_AreChosenByNameAndTools()
    {
        var chat = Processor("""{"chat_template": [{"name": "tool_use", "template": "T{{ tools | tojson }}"}, {"name": "default", "template": "D{{ tools }}"}]}""");
        var tools = JsonSerializer.SerializeToElement(new[] { new { name = "f" } });
        Assert.AreEqual("DNone", chat.Render(Messages, null));
        Assert.AreEqual("""T[{"name": "f"}]""", chat.Render(Messages, new ChatOptions { Tools = tools }));
        Assert.AreEqual("D[{'name': 'f'}]", chat.Render(Messages, new ChatOptions { Tools = tools, ChatTemplateName = "default" }));
        var error = Assert.ThrowsExactly<ChatTemplateException>(() => chat.Render(Messages, new ChatOptions { ChatTemplateName = "rag" }));
        StringAssert.Contains(error.Message, "the model has no chat template \"rag\"; it has default, tool_use");
    }

    [TestMethod]
    public void Render_Variables_AreTransformers()
    {
        var chat = Processor("""
            {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<unk>", "additional_special_tokens": ["<a>", "<b>"],
             "chat_template": "{{ bos_token }}{{ eos_token }}{{ unk_token }}{{ additional_special_tokens[1] }}{{ documents | length }}{{ thinking }}{{ messages[0].tool_calls[0].id }}{{ messages[0].content is none }}"}
            """);
        var message = new ChatMessage("assistant", null) { Fields = new Dictionary<string, JsonElement> { ["tool_calls"] = Json("""[{"id": "c1"}]""") } };
        var options = new ChatOptions
        {
            Documents = Json("[{}, {}]"),
            ChatTemplateKwargs = new Dictionary<string, JsonElement> { ["thinking"] = Json("true"), ["unk_token"] = Json("\"<u>\"") },
        };
        Assert.AreEqual("<s></s><u><b>2Truec1True", chat.Render([message], options));
    }

    [TestMethod]
    public void Render_BrokenTemplateOfTheModel_NamesFolderTemplateAndLine()
    {
        var error = Assert.ThrowsExactly<ChatTemplateException>(() => Processor("""{"chat_template": "a\n{{ 1 + }}"}""").Render(Messages, null));
        StringAssert.StartsWith(error.Message, "folder: chat template \"default\": line 2: expected an expression, found '}}'");
    }

    private static ChatProcessor Processor(string tokenizerConfig) =>
        new(TokenizerFiles.FromText(SmallTokenizers.Fallback().ToJsonString(), tokenizerConfig), "folder");

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;
}
