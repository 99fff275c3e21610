using System.Runtime.CompilerServices;
using System.Text;

namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

/// <summary>One rendering: where it stands, and what it may still use up.</summary>
internal sealed class RenderContext(ChatTemplateLimits limits, TimeProvider time)
{
    // So many characters or items that an operation makes or reads count as a step.
    private const int UnitsPerStep = 16;

    // What comparisons of texts read in the time of one character.
    private const int CharsAtOnce = 64;

    private long _numSteps;
    private int _depth;

    /// <summary>The clock of strftime_now.</summary>
    public TimeProvider Time => time;

    /// <summary>The line that is evaluated now.</summary>
    public int Line { get; private set; }

    /// <summary>Where text goes: the result, or what a macro or block collects.</summary>
    public StringBuilder Output { get; private set; } = new();

    /// <summary>Names that every template sees.</summary>
    public IReadOnlyDictionary<string, object> Globals => JinjaGlobals.All;

    /// <summary>Counts steps.</summary>
    /// <exception cref="JinjaException">There were too many.</exception>
    public void Charge(long numUnits)
    {
        _numSteps += 1 + numUnits / UnitsPerStep;
        if (_numSteps > limits.MaxSteps)
            throw new JinjaException($"takes more than {limits.MaxSteps} steps");
    }

    /// <summary>Counts a text that is made, before it is.</summary>
    /// <exception cref="JinjaException">It is too long, or there were too many steps.</exception>
    public void ChargeText(long length)
    {
        CheckLength(length);
        Charge(length);
    }

    /// <summary>Counts a search: where a long text is sought, its beginning may be found at every place, and is compared there.</summary>
    /// <param name="text">Where it is sought.</param>
    /// <param name="sought">What is sought.</param>
    /// <exception cref="JinjaException">There were too many steps.</exception>
    public void ChargeSearch(string text, string sought) => Charge((long)text.Length * (1 + Math.Min(sought.Length, text.Length) / CharsAtOnce));

    /// <summary>Checks the length of a text.</summary>
    /// <exception cref="JinjaException">It is too long.</exception>
    public void CheckLength(long length)
    {
        if (length > limits.MaxOutputLength)
            throw new JinjaException($"makes a text of more than {limits.MaxOutputLength} characters");
    }

    /// <summary>Evaluates an expression.</summary>
    public object Evaluate(Expression expression, Scope scope)
    {
        Enter(expression.Line);
        object value = expression.Evaluate(this, scope);
        _depth--;
        return value;
    }

    /// <summary>Executes statements until one of them breaks off the loop around them.</summary>
    public Flow Execute(IReadOnlyList<Statement> statements, Scope scope)
    {
        foreach (var statement in statements)
        {
            Enter(statement.Line);
            var flow = statement.Execute(this, scope);
            _depth--;
            if (flow != Flow.Next)
                return flow;
        }
        return Flow.Next;
    }

    /// <summary>Runs something that walks down nested values.</summary>
    public T Nested<T>(Func<T> run)
    {
        Enter(Line);
        T result = run();
        _depth--;
        return result;
    }

    /// <summary>Writes text.</summary>
    public void Write(string text)
    {
        ChargeText(text.Length);
        CheckLength(Output.Length + (long)text.Length);
        Output.Append(text);
    }

    /// <summary>Runs something and returns what it wrote.</summary>
    public string Collect(Action run)
    {
        var outer = Output;
        Output = new StringBuilder();
        run();
        string text = Output.ToString();
        Output = outer;
        return text;
    }

    // An error ends the rendering, so the depth is not restored after one.
    private void Enter(int line)
    {
        Line = line;
        if (++_depth > limits.MaxDepth || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new JinjaException($"is nested deeper than {limits.MaxDepth} levels");
        Charge(0);
    }
}

/// <summary>How execution goes on after a statement.</summary>
internal enum Flow
{
    /// <summary>With the next statement.</summary>
    Next,

    /// <summary>Behind the loop.</summary>
    Break,

    /// <summary>With the loop's next item.</summary>
    Continue,
}

/// <summary>The variables of a template, a macro or a loop's turn.</summary>
internal sealed class Scope(Scope? parent)
{
    private Dictionary<string, object>? _variables;

    /// <summary>The value of a name, here or further out; null if it has none.</summary>
    public object? Get(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Parent)
        {
            if (scope._variables is { } variables && variables.TryGetValue(name, out object? value))
                return value;
        }
        return null;
    }

    /// <summary>Sets a variable here.</summary>
    public void Set(string name, object value) => (_variables ??= [])[name] = value;

    private Scope? Parent { get; } = parent;
}
