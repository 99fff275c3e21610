using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using ILGPU;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;
using ILGPU.IR.Values;
using static ILGPU.Backends.RegisterAllocator<ILGPU.Backends.PTX.PTXRegisterKind>;

namespace IlgpuLlm.Kernels.Gpu.Ptx;

/// <summary>Makes <see cref="PtxIntrinsics"/>, <see cref="Wgmma"/> and <see cref="WgmmaAttention"/> known to ILGPU and writes their PTX.</summary>
internal static partial class PtxIntrinsicGenerator
{
    /// <summary>Registers every intrinsic.</summary>
    public static void Register(Context.Builder builder)
    {
        var manager = builder.GetIntrinsicManager();
        var generate = typeof(PtxIntrinsicGenerator).GetMethod(nameof(Generate), BindingFlags.Static | BindingFlags.NonPublic)!;
        foreach (var type in (Type[])[typeof(PtxIntrinsics), typeof(Wgmma), typeof(WgmmaAttention)])
        {
            foreach (var method in type.GetMethods(BindingFlags.Static | BindingFlags.Public))
            {
                if (method.GetCustomAttribute<PtxAttribute>() is not null)
                    manager.RegisterMethod(method, new PTXIntrinsic(generate, IntrinsicImplementationMode.GenerateCode));
            }
        }
    }

    // ILGPU calls it with these three parameters.
    private static void Generate(PTXBackend backend, PTXCodeGenerator generator, Value value)
    {
        _ = backend;
        var call = (MethodCall)value;
        var method = (MethodInfo)call.Target.Source;
        string template = (method.IsGenericMethod ? method.GetGenericMethodDefinition() : method).GetCustomAttribute<PtxAttribute>()!.Template(method);
        var arguments = new List<PrimitiveRegister>();
        foreach (var argument in call.Nodes)
            Flatten(generator.Load(argument), arguments);
        var operands = arguments.ConvertAll(generator.EnsureHardwareRegister);
        var results = new List<PrimitiveRegister>();
        if (!call.Type.IsVoidType)
            Flatten(generator.Allocate(call), results);
        string text = Placeholder().Replace(template, match =>
        {
            int index = int.Parse(match.ValueSpan[1..], CultureInfo.InvariantCulture);
            var register = match.Value[0] == '%' ? operands[index] : (HardwareRegister)results[index];
            return "%" + PTXRegisterAllocator.GetStringRepresentation(register);
        });
        generator.Builder.Append('\t').AppendLine(text);
    }

    private static void Flatten(Register register, List<PrimitiveRegister> leaves)
    {
        if (register is CompoundRegister compound)
        {
            foreach (var child in compound.Children)
                Flatten(child, leaves);
        }
        else
        {
            leaves.Add((PrimitiveRegister)register);
        }
    }

    [GeneratedRegex(@"[$%]\d+")]
    private static partial Regex Placeholder();
}
