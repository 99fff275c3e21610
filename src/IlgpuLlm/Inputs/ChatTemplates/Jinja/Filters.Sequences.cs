namespace IlgpuLlm.Inputs.ChatTemplates.Jinja;

// Filters of sequences and mappings.
internal static partial class Filters
{
    private static List<object> ToList(RenderContext context, object value)
    {
        var list = new List<object>();
        foreach (object item in Operators.Iterate(context, value))
        {
            context.Charge(0);
            list.Add(item);
        }
        return list;
    }

    private static object Length(RenderContext context, object value, CallArguments arguments) =>
        NoArguments(arguments, "length", Operators.Length(context, value) ?? throw new JinjaException($"object of type '{Operators.TypeName(value)}' has no len()"));

    private static object Last(RenderContext context, object value, CallArguments arguments)
    {
        arguments.Bind("last", 0);
        if (value is JinjaGenerator)
            throw new JinjaException("'generator' object is not reversible");
        return Operators.Iterate(context, value).LastOrDefault() ?? new Undefined("No last item, sequence was empty.");
    }

    private static object Items(RenderContext context, object value, CallArguments arguments)
    {
        arguments.Bind("items", 0);
        return new JinjaGenerator(value switch
        {
            Undefined => [],
            JinjaDict dict => dict.Items.Select(item => JinjaList.Tuple(item.Key, item.Value)),
            _ => throw new JinjaException("Can only get item pairs from a mapping."),
        });
    }

    private static object Join(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("join", 0, "d", "attribute");
        var items = Operators.Iterate(context, value);
        if (values[1] is { } path and not JinjaNone)
            items = items.Select(item => Members.GetPath(context, item, path, null));
        return StringMethods.Join(context, values[0] is { } separator ? Text(context, separator) : "", items.Select(item => (object)Operators.ToText(context, item)));
    }

    private static object Reverse(RenderContext context, object value, CallArguments arguments)
    {
        arguments.Bind("reverse", 0);
        if (value is string text)
            return string.Concat(ToList(context, text).AsEnumerable().Reverse());
        if (value is JinjaNone or long or bool or double)
            throw new JinjaException("argument must be iterable");
        return new JinjaGenerator(ToList(context, value).AsEnumerable().Reverse());
    }

    private static object Map(RenderContext context, object value, CallArguments arguments)
    {
        Func<object, object> map;
        if (arguments.Positional.Count == 0 && arguments.Named.Exists(pair => pair.Key == "attribute"))
        {
            object?[] values = arguments.Bind("map", 0, "attribute", "default");
            map = item => Members.GetPath(context, item, values[0]!, values[1]);
        }
        else
        {
            if (arguments.Positional.Count == 0)
                throw new JinjaException("map requires a filter argument");
            string name = Text(context, arguments.Positional[0]);
            var filter = All!.GetValueOrDefault(name) ?? throw new JinjaException($"No filter named '{name}'.");
            var rest = Rest(arguments, 1);
            map = item => filter(context, item, rest);
        }
        return new JinjaGenerator(Charged(context, value).Select(map));
    }

    private static object Select(RenderContext context, object value, CallArguments arguments, bool byAttribute, bool selects)
    {
        if (byAttribute && arguments.Positional.Count == 0)
            throw new JinjaException("Missing parameter for attribute name");
        int numUsed = byAttribute ? 1 : 0;
        object? path = byAttribute ? arguments.Positional[0] : null;
        Func<object, bool> holds = Operators.IsTrue;
        if (arguments.Positional.Count > numUsed)
        {
            string name = Text(context, arguments.Positional[numUsed]);
            var test = Tests.All.GetValueOrDefault(name) ?? throw new JinjaException($"No test named '{name}'.");
            var rest = Rest(arguments, numUsed + 1);
            holds = item => test(context, item, rest);
        }
        return new JinjaGenerator(Charged(context, value).Where(item => holds(path is null ? item : Members.GetPath(context, item, path, null)) == selects));
    }

    // The items are charged one by one: a chain of generators is paid for as it is walked.
    private static IEnumerable<object> Charged(RenderContext context, object value) => Operators.Iterate(context, value).Select(item =>
    {
        context.Charge(0);
        return item;
    });

    private static CallArguments Rest(CallArguments arguments, int numUsed)
    {
        var rest = new CallArguments();
        rest.Positional.AddRange(arguments.Positional.Skip(numUsed));
        rest.Named.AddRange(arguments.Named);
        return rest;
    }

    private static object Lowered(object value) => value is string text ? text.ToLowerInvariant() : value;

    // What is sorted by: the values of one or several attributes, as a list each.
    private static List<object> SortKeys(RenderContext context, object item, object? attribute, bool isCaseSensitive)
    {
        List<object> keys = attribute switch
        {
            null or JinjaNone => [item],
            string paths => [.. paths.Split(',').Select(path => Members.GetPath(context, item, path, null))],
            _ => [Members.GetPath(context, item, attribute, null)],
        };
        return isCaseSensitive ? keys : [.. keys.Select(Lowered)];
    }

    private static List<(object Item, T Key)> Sorted<T>(RenderContext context, IEnumerable<(object Item, T Key)> pairs, bool isReversed)
        where T : notnull => Sorting.Sort([.. pairs], (a, b) =>
    {
        context.Charge(0);
        // Reversed order keeps equal items as they stand.
        return isReversed ? Operators.Order(context, "<", b.Key, a.Key) : Operators.Order(context, "<", a.Key, b.Key);
    });

    private static object Sort(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("sort", 0, "reverse", "case_sensitive", "attribute");
        bool isCaseSensitive = values[1] is { } sensitive && Operators.IsTrue(sensitive);
        var keyed = ToList(context, value).Select(item => (item, new JinjaList(SortKeys(context, item, values[2], isCaseSensitive))));
        return new JinjaList([.. Sorted(context, keyed, values[0] is { } reverse && Operators.IsTrue(reverse)).Select(pair => pair.Item)]);
    }

    private static object DictSort(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("dictsort", 0, "case_sensitive", "by", "reverse");
        bool isCaseSensitive = values[0] is { } sensitive && Operators.IsTrue(sensitive);
        string by = values[1] is { } given ? Text(context, given) : "key";
        if (by is not ("key" or "value"))
            throw new JinjaException("You can only sort by either \"key\" or \"value\"");
        if (value is not JinjaDict dict)
            throw value is Undefined undefined ? undefined.Error() : new JinjaException($"'{Operators.TypeName(value)} object' has no attribute 'items'");
        var keyed = dict.Items.Select(item => (item, by == "key" ? item.Key : item.Value))
            .Select(pair => ((object)JinjaList.Tuple(pair.item.Key, pair.item.Value), isCaseSensitive ? pair.Item2 : Lowered(pair.Item2)));
        return new JinjaList([.. Sorted(context, keyed, values[2] is { } reverse && Operators.IsTrue(reverse)).Select(pair => pair.Item)]);
    }

    private static object GroupBy(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("groupby", 1, "attribute", "default", "case_sensitive");
        object? absent = values[1] is JinjaNone ? null : values[1];
        bool isCaseSensitive = values[2] is { } sensitive && Operators.IsTrue(sensitive);
        var keyed = ToList(context, value).Select(item => (item, Members.GetPath(context, item, values[0]!, absent)))
            .Select(pair => (pair.item, isCaseSensitive ? pair.Item2 : Lowered(pair.Item2)));
        var groups = new List<(object Key, List<object> Items)>();
        foreach (var (item, key) in Sorted(context, keyed, isReversed: false))
        {
            if (groups.Count == 0 || !Operators.AreEqual(context, groups[^1].Key, key))
                groups.Add((key, []));
            groups[^1].Items.Add(item);
        }
        // The key that is shown is the first item's own, whatever its case.
        return new JinjaList([.. groups.Select(group => JinjaList.Tuple(Members.GetPath(context, group.Items[0], values[0]!, absent), new JinjaList(group.Items)))]);
    }

    private static object Unique(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("unique", 0, "case_sensitive", "attribute");
        bool isCaseSensitive = values[0] is { } sensitive && Operators.IsTrue(sensitive);
        var seen = new JinjaDict(context);
        return new JinjaGenerator(Charged(context, value).Where(item =>
        {
            object key = values[1] is { } path and not JinjaNone ? Members.GetPath(context, item, path, null) : item;
            key = isCaseSensitive ? key : Lowered(key);
            if (seen.Get(key) is not null)
                return false;
            seen.Set(key, true);
            return true;
        }));
    }

    private static object Extreme(RenderContext context, object value, CallArguments arguments, string filter)
    {
        object?[] values = arguments.Bind(filter, 0, "case_sensitive", "attribute");
        bool isCaseSensitive = values[0] is { } sensitive && Operators.IsTrue(sensitive);
        object? best = null, bestKey = null;
        foreach (object item in Charged(context, value))
        {
            object key = values[1] is { } path and not JinjaNone ? Members.GetPath(context, item, path, null) : item;
            key = isCaseSensitive ? key : Lowered(key);
            if (bestKey is null || Operators.Compare(context, filter == "max" ? ">" : "<", key, bestKey))
                (best, bestKey) = (item, key);
        }
        return best ?? new Undefined("No aggregated item, sequence was empty.");
    }

    private static object Sum(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("sum", 0, "attribute", "start");
        object sum = values[1] ?? 0L;
        if (sum is string)
            throw new JinjaException("sum() can't sum strings [use ''.join(seq) instead]");
        foreach (object item in Charged(context, value))
            sum = Operators.Binary(context, "+", sum, values[0] is { } path and not JinjaNone ? Members.GetPath(context, item, path, null) : item);
        return sum;
    }

    private static object Batch(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("batch", 1, "linecount", "fill_with");
        long size = Operators.ToInteger(values[0]!, "linecount");
        return new JinjaGenerator(Batches(ToList(context, value)).ToList());

        IEnumerable<object> Batches(List<object> items)
        {
            var batch = new List<object>();
            foreach (object item in items)
            {
                // A size below one never fills.
                if (batch.Count == size)
                {
                    yield return new JinjaList(batch);
                    batch = [];
                }
                batch.Add(item);
            }
            if (batch.Count == 0)
                yield break;
            if (values[1] is { } fill and not JinjaNone && batch.Count < size)
            {
                context.ChargeText(size);
                batch.AddRange(Enumerable.Repeat(fill, (int)size - batch.Count));
            }
            yield return new JinjaList(batch);
        }
    }

    private static object Slice(RenderContext context, object value, CallArguments arguments)
    {
        object?[] values = arguments.Bind("slice", 1, "slices", "fill_with");
        long numSlices = Operators.ToInteger(values[0]!, "slices");
        if (numSlices == 0)
            throw new JinjaException("integer division or modulo by zero");
        var items = ToList(context, value);
        context.ChargeText(Math.Max(0, numSlices));
        var slices = new List<object>();
        int start = 0;
        for (long i = 0; i < numSlices; i++)
        {
            bool isLonger = i < items.Count % numSlices;
            int length = (int)(items.Count / numSlices) + (isLonger ? 1 : 0);
            var slice = items.GetRange(start, length);
            if (values[1] is { } fill and not JinjaNone && !isLonger && items.Count % numSlices != 0)
                slice.Add(fill);
            slices.Add(new JinjaList(slice));
            start += length;
        }
        return new JinjaGenerator(slices);
    }
}
