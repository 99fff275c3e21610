namespace IlgpuLlm.Inputs.Tokenization;

/// <summary>Tokens and their ids, both ways. Ids may have holes.</summary>
internal sealed class Vocabulary
{
    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _idsBySpan;
    private readonly string?[] _tokens;

    /// <summary>Takes the tokens over.</summary>
    /// <param name="file">The file they came from, for errors.</param>
    /// <param name="ids">Every token's id.</param>
    /// <exception cref="CheckpointException">An id is negative, far beyond the number of tokens, or given twice.</exception>
    public Vocabulary(string file, Dictionary<string, int> ids)
    {
        _ids = ids;
        _idsBySpan = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        int size = 0;
        // Real vocabularies have few holes; the limit keeps one wrong id from making an array of gigabytes.
        long limit = (4L * ids.Count) + 65_536;
        foreach ((string token, int id) in ids)
        {
            if (id < 0 || id >= limit)
            {
                string problem = $"vocab: token {JsonField.Show(token)} has id {id}; {ids.Count} tokens may have 0 to {limit - 1}";
                throw new CheckpointException(file, problem);
            }
            size = Math.Max(size, id + 1);
        }
        _tokens = new string?[size];
        foreach ((string token, int id) in ids)
        {
            if (_tokens[id] is { } other)
                throw new CheckpointException(file, $"vocab: id {id} is given to both {JsonField.Show(other)} and {JsonField.Show(token)}");
            _tokens[id] = token;
        }
    }

    /// <summary>The greatest id plus one.</summary>
    public int Size => _tokens.Length;

    /// <summary>The token of an id, or null for a hole or an id out of range.</summary>
    public string? Token(int id) => (uint)id < (uint)_tokens.Length ? _tokens[id] : null;

    /// <summary>The id of a token.</summary>
    public bool TryGetId(ReadOnlySpan<char> token, out int id) => _idsBySpan.TryGetValue(token, out id);

    /// <summary>The id of a token, or null.</summary>
    public int? IdOrNull(string token) => _ids.TryGetValue(token, out int id) ? id : null;

    /// <summary>This vocabulary with further tokens; those it has already with the same id are left as they are.</summary>
    /// <exception cref="CheckpointException">A token has another id here, or an id another token.</exception>
    public Vocabulary With(string file, IEnumerable<AddedToken> added)
    {
        Dictionary<string, int>? ids = null; // A copy once there is a token to add: there are 100,000 to copy, and often none to add.
        foreach (AddedToken token in added)
        {
            if (!(ids ?? _ids).TryGetValue(token.Content, out int id))
                (ids ??= new(_ids)).Add(token.Content, token.Id);
            else if (id != token.Id)
                throw new CheckpointException(file, $"added token {JsonField.Show(token.Content)} has id {token.Id}, and {id} in the vocabulary");
        }
        return ids is null ? this : new Vocabulary(file, ids);
    }
}
