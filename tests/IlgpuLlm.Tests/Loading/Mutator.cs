using System.Text;

namespace IlgpuLlm.Tests.Loading;

/// <summary>Deterministic damage to files: of bytes, and of JSON text where numbers, strings and structure are replaced by hostile ones.</summary>
internal sealed class Mutator(int seed)
{
    private static readonly string[] Values =
    [
        "0", "-1", "1", "2", "7", "255", "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616",
        "1e308", "1e999", "-0.0", "0.5", "1e-40", "null", "true", "\"\"", "\"x\"", "\"\\ud800\"", "\"../../etc/passwd\"", "\"F16\"", "\"I64\"",
        "[]", "[0]", "[[[[]]]]", "{}", "{\"rope_type\":\"yarn\",\"factor\":3}", "[9223372036854775807,9223372036854775807]",
    ];

    private readonly Random _random = new(seed);

    /// <summary>A damaged copy: bits flipped, cut off, pieces moved, removed or repeated, bytes appended.</summary>
    public byte[] Bytes(byte[] original)
    {
        byte[] result = [.. original];
        for (int round = _random.Next(1, 4); round > 0 && result.Length > 0; round--)
        {
            int at = _random.Next(result.Length);
            int length = _random.Next(1, Math.Min(64, result.Length - at) + 1);
            int to = _random.Next(result.Length);
            switch (_random.Next(7))
            {
                case 0:
                    result[at] ^= (byte)(1 << _random.Next(8));
                    break;
                case 1:
                    result[at] = (byte)_random.Next(256);
                    break;
                case 2:
                    result = result[..at];
                    break;
                case 3:
                    result = [.. result[..at], .. result[(at + length)..]];
                    break;
                case 4:
                    result = [.. result[..to], .. result[at..(at + length)], .. result[to..]];
                    break;
                case 5:
                    _random.NextBytes(result.AsSpan(at, length));
                    break;
                default:
                    result = [.. result, .. new byte[length]];
                    break;
            }
        }
        return result;
    }

    /// <summary>Damaged JSON text: a number, string or piece of structure replaced by a hostile value, an entry repeated, deep nesting.</summary>
    public string Json(string original)
    {
        var tokens = Tokens(original);
        for (int round = _random.Next(1, 3); round > 0; round--)
        {
            int at = _random.Next(tokens.Count);
            switch (_random.Next(8))
            {
                case 0:
                    tokens.RemoveAt(at);
                    break;
                case 1:
                    tokens.Insert(at, tokens[_random.Next(tokens.Count)]);
                    break;
                case 2:
                    tokens[at] = string.Concat(Enumerable.Repeat(_random.Next(2) == 0 ? "[" : "{\"a\":", _random.Next(1, 300)));
                    break;
                default:
                    // Most damage should get past the JSON parser: a value for a value.
                    int value = tokens.FindIndex(at, token => token is not ("{" or "}" or "[" or "]" or ":" or ","));
                    if (value >= 0)
                        tokens[value] = _random.Next(4) == 0 ? tokens[at] : Values[_random.Next(Values.Length)];
                    break;
            }
        }
        return string.Concat(tokens);
    }

    /// <summary>One of the two at random.</summary>
    public bool Coin() => _random.Next(2) == 0;

    /// <summary>A header length: near the true one, or anything.</summary>
    public ulong HeaderLength(ulong original) => _random.Next(3) switch
    {
        0 => original + (ulong)_random.Next(-16, 17),
        1 => (ulong)_random.NextInt64(),
        _ => ulong.MaxValue >> _random.Next(64),
    };

    /// <summary>Strings, punctuation, and runs of anything else.</summary>
    private static List<string> Tokens(string json)
    {
        var tokens = new List<string>();
        var run = new StringBuilder();
        for (int i = 0; i < json.Length; i++)
        {
            if (!"{}[]:,\"".Contains(json[i]))
            {
                run.Append(json[i]);
                continue;
            }
            if (!string.IsNullOrWhiteSpace(run.ToString()))
                tokens.Add(run.ToString());
            run.Clear();
            int end = json[i] == '"' ? json.IndexOf('"', i + 1) : i;
            tokens.Add(json[i..(end + 1)]);
            i = end;
        }
        return tokens;
    }
}
