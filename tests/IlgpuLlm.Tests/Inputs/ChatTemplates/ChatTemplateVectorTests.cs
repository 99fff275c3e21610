using System.Text.Json;
using IlgpuLlm.Inputs.ChatTemplates;
using IlgpuLlm.TestSupport;

namespace IlgpuLlm.Tests.Inputs.ChatTemplates;

/// <summary>Templates of ../shared/vectors, rendered by jinja2 as Transformers sets it up: every row, and the messages of those that fail.</summary>
[TestClass]
public sealed class ChatTemplateVectorTests
{
    [TestMethod]
    public void Render_Conformance_EveryRowEqual()
    {
        List<string> differences = [];
        int numRows = 0;
        foreach (var row in Rows("jinja_conformance.json", "cases"))
        {
            // This file's snippets are rendered without the two options that chat templates have.
            Compare(row, row.GetProperty("template").GetString()!, row.GetProperty("context").EnumerateObject().ToDictionary(p => p.Name, p => p.Value),
                isChatTemplate: false, row.GetProperty("jinja2_output").GetString(), row.GetProperty("jinja2_error").GetString(), differences);
            numRows++;
        }
        Assert.IsEmpty(differences, string.Join('\n', differences));
        Assert.AreEqual(157, numRows);
    }

    [TestMethod]
    public void Render_CoreTemplates_EveryConversationEqual()
    {
        List<string> differences = [];
        int numRows = 0;
        foreach (var template in Rows("chat_templates_core.json", "templates"))
        {
            foreach (var row in template.GetProperty("cases").EnumerateArray())
            {
                var variables = Variables(template, row.GetProperty("messages"), row.GetProperty("add_generation_prompt"));
                string? error = row.GetProperty("error").GetString();
                Compare(template, template.GetProperty("template").GetString()!, variables, isChatTemplate: true, row.GetProperty("expected").GetString(),
                    error?.Replace("TemplateError: ", "", StringComparison.Ordinal), differences);
                numRows++;
            }
        }
        Assert.IsEmpty(differences, string.Join('\n', differences));
        Assert.AreEqual(96, numRows);
    }

    [TestMethod]
    public void Render_LlamaCppTemplates_EveryRowEqualToJinja2()
    {
        var file = TestData.Json(TestData.Shared("vectors", "chat_templates_llamacpp.json"));
        List<string> differences = [];
        int numRows = 0;
        foreach (var row in file.GetProperty("cases").EnumerateArray())
        {
            Compare(row, row.GetProperty("template").GetString()!, Variables(row, file.GetProperty("messages"), file.GetProperty("add_generation_prompt")),
                isChatTemplate: true, row.GetProperty("jinja2_output").GetString(), row.GetProperty("jinja2_error").GetString(), differences);
            numRows++;
        }
        Assert.IsEmpty(differences, string.Join('\n', differences));
        Assert.AreEqual(30, numRows);
    }

    private static Dictionary<string, JsonElement> Variables(JsonElement template, JsonElement messages, JsonElement addGenerationPrompt) => new()
    {
        ["messages"] = messages,
        ["add_generation_prompt"] = addGenerationPrompt,
        ["bos_token"] = template.GetProperty("bos_token"),
        ["eos_token"] = template.GetProperty("eos_token"),
    };

    private static void Compare(JsonElement named, string template, Dictionary<string, JsonElement> variables, bool isChatTemplate, string? expected, string? expectedError,
        List<string> differences)
    {
        string? actual = null, error = null;
        try
        {
            actual = ChatTemplate.Parse(template, "t", null, null, isChatTemplate, isChatTemplate).Render(variables);
        }
        catch (ChatTemplateException e)
        {
            error = e.Problem;
        }
        if (actual != expected || error != expectedError)
            differences.Add($"{named.GetProperty("name")}: {actual ?? "error: " + error}\ninstead of {expected ?? "error: " + expectedError}");
    }

    private static JsonElement.ArrayEnumerator Rows(string file, string list) => TestData.Json(TestData.Shared("vectors", file)).GetProperty(list).EnumerateArray();
}
