using ArchUnitNET.Domain;
using ArchUnitNET.Fluent;
using ArchUnitNET.Loader;
using static ArchUnitNET.Fluent.ArchRuleDefinition;

namespace IlgpuLlm.Tests;

/// <summary>The design's walls: which part of the engine may know of which.</summary>
[TestClass]
public sealed class ArchitectureTests
{
    private static readonly Architecture Loaded = new ArchLoader()
        .LoadAssembliesIncludingDependencies([typeof(LLM).Assembly, typeof(Kernels.Backend).Assembly], recursive: false).Build();

    [TestMethod]
    [DataRow("Inputs")]
    [DataRow("Scheduling")]
    [DataRow("Outputs")]
    public void PartWithoutDevice_NamesNoIlgpuType(string part) =>
        Check(TypesOf(part).Should().NotDependOnAny(Types(true).That().ResideInNamespaceMatching(@"^(ILGPU|IlgpuLlm\.Kernels\.(Gpu|Cpu))(\.|$)")));

    [TestMethod]
    [DataRow("Models")]
    [DataRow("Execution")]
    [DataRow("Scheduling")]
    public void PartBelowText_SeesNoPromptText(string part) =>
        Check(TypesOf(part).Should().NotDependOnAny(Types(true).That().ResideInNamespaceMatching(@"^IlgpuLlm\.(Inputs|Outputs)(\.|$)")
            .Or().Are(typeof(Prompt), typeof(RequestOutput), typeof(CompletionOutput))));

    [TestMethod]
    public void Kernels_KnowNothingOfTheEngine() =>
        Check(Types().That().ResideInNamespaceMatching(@"^IlgpuLlm\.Kernels(\.|$)").Should()
            .NotDependOnAny(Types(true).That().ResideInAssembly(typeof(LLM).Assembly)));

    [TestMethod]
    public void Engine_NeedsNoLibraryThatDraws()
    {
        string[] names = [.. typeof(LLM).Assembly.GetReferencedAssemblies().Concat(typeof(Kernels.Backend).Assembly.GetReferencedAssemblies()).Select(a => a.Name!)];
        CollectionAssert.Contains(names, "ILGPU");
        Assert.IsFalse(names.Any(name => name.StartsWith("Skia", StringComparison.Ordinal) || name.StartsWith("ScottPlot", StringComparison.Ordinal)), string.Join(", ", names));
    }

    [TestMethod]
    public void Check_RuleThatDoesNotHold_Fails() => Assert.ThrowsExactly<AssertFailedException>(() =>
        Check(TypesOf("Execution").Should().NotDependOnAny(Types(true).That().ResideInNamespaceMatching(@"^IlgpuLlm\.Kernels\.(Gpu|Cpu)(\.|$)"))));

    private static ArchUnitNET.Fluent.Syntax.Elements.Types.GivenTypesConjunction TypesOf(string part) =>
        Types().That().ResideInNamespaceMatching($@"^IlgpuLlm\.{part}(\.|$)");

    private static void Check(IArchRule rule)
    {
        var violations = rule.Evaluate(Loaded).Where(result => !result.Passed).Select(result => result.Description).ToList();
        Assert.AreEqual(0, violations.Count, string.Join(Environment.NewLine, violations));
    }
}
