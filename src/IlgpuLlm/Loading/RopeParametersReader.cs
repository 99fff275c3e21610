namespace IlgpuLlm.Loading;

/// <summary>Reads the rotary parameters in the spellings of Transformers 4 (rope_theta, rope_scaling) and 5 (rope_parameters).</summary>
internal static class RopeParametersReader
{
    private const int MaxPositions = ModelConfigReader.MaxPositions;
    private const double MaxTheta = 1e15;
    private const double MaxFactor = 1e6;

    /// <summary>Reads them.</summary>
    /// <param name="config">The object of config.json.</param>
    /// <param name="maxPositionEmbeddings">The config's max_position_embeddings.</param>
    /// <exception cref="CheckpointException">A value is missing, of the wrong type or outside its range.</exception>
    public static RopeParameters Read(JsonFields config, int maxPositionEmbeddings)
    {
        RefusePartialRotary(config);
        double theta = Theta(config) ?? new RopeParameters().Theta;
        if (FindScaling(config) is not { } scaling)
            return new RopeParameters { Theta = theta, OriginalMaxPositionEmbeddings = maxPositionEmbeddings };

        RefusePartialRotary(scaling);
        var type = Type(scaling);
        // Transformers measures dynamic scaling from max_position_embeddings, whatever the original length says.
        int? original = type == RopeType.Dynamic
            ? null
            : scaling.Int("original_max_position_embeddings", 1, MaxPositions) ?? config.Int("original_max_position_embeddings", 1, MaxPositions);
        var rope = new RopeParameters
        {
            Type = type,
            Theta = Theta(scaling) ?? theta,
            OriginalMaxPositionEmbeddings = original ?? maxPositionEmbeddings,
        };
        if (type == RopeType.Default)
            return rope;

        double? factor = Number(scaling, "factor", 1, MaxFactor);
        rope = rope with { Factor = factor ?? throw scaling.Error("factor", $"must be a number from 1 to {MaxFactor}") };
        return type switch
        {
            RopeType.Llama3 => Llama3(scaling, rope),
            RopeType.Yarn => Yarn(scaling, rope),
            _ => rope,
        };
    }

    private static JsonFields? FindScaling(JsonFields config)
    {
        if (config.Object("rope_parameters") is not { } parameters)
            return config.Object("rope_scaling");
        // Models with several kinds of layers key the parameters by the kind: {"full_attention": {...}, "sliding_attention": {...}}.
        var kinds = parameters.Names.Where(parameters.IsObject).ToList();
        return kinds.Count switch
        {
            0 => parameters,
            1 when parameters.Names.Count == 1 => parameters.Object(kinds[0]),
            _ => throw config.Error("rope_parameters", $"must be one set for all layers, not one for each of {string.Join(", ", kinds)}"),
        };
    }

    private static RopeType Type(JsonFields scaling)
    {
        string name = scaling.Contains("rope_type") ? "rope_type" : scaling.Contains("type") ? "type" : "rope_type";
        return scaling.String(name) switch
        {
            "linear" => RopeType.Linear,
            "dynamic" => RopeType.Dynamic,
            "llama3" => RopeType.Llama3,
            "yarn" => RopeType.Yarn,
            "default" => RopeType.Default,
            // rope_parameters may hold nothing but rope_theta.
            null when !scaling.Contains("factor") => RopeType.Default,
            _ => throw scaling.Error(name, "must be default, linear, dynamic, llama3 or yarn"),
        };
    }

    private static RopeParameters Llama3(JsonFields scaling, RopeParameters rope)
    {
        rope = rope with
        {
            LowFreqFactor = Number(scaling, "low_freq_factor", 1e-3, MaxFactor) ?? rope.LowFreqFactor,
            HighFreqFactor = Number(scaling, "high_freq_factor", 1e-3, MaxFactor) ?? rope.HighFreqFactor,
        };
        return rope.HighFreqFactor > rope.LowFreqFactor
            ? rope
            : throw scaling.Error("high_freq_factor", $"must be above low_freq_factor, {rope.LowFreqFactor}");
    }

    private static RopeParameters Yarn(JsonFields scaling, RopeParameters rope)
    {
        rope = rope with
        {
            AttentionFactor = Number(scaling, "attention_factor", 1e-3, MaxFactor),
            BetaFast = Number(scaling, "beta_fast", 1e-3, MaxFactor) ?? rope.BetaFast,
            BetaSlow = Number(scaling, "beta_slow", 1e-3, MaxFactor) ?? rope.BetaSlow,
            Mscale = Number(scaling, "mscale", 0, MaxFactor),
            MscaleAllDim = Number(scaling, "mscale_all_dim", 0, MaxFactor),
            Truncate = scaling.Bool("truncate") ?? rope.Truncate,
        };
        return rope.BetaFast >= rope.BetaSlow ? rope : throw scaling.Error("beta_fast", $"must be at least beta_slow, {rope.BetaSlow}");
    }

    private static double? Theta(JsonFields fields) =>
        fields.Number("rope_theta", value => value is > 0 and <= MaxTheta, $"must be a number above 0 and up to {MaxTheta}");

    private static void RefusePartialRotary(JsonFields fields) =>
        fields.Number("partial_rotary_factor", value => value == 1, "must be 1: rotating a part of each head is not supported");

    private static double? Number(JsonFields fields, string name, double min, double max) =>
        fields.Number(name, value => value >= min && value <= max, $"must be a number from {min} to {max}");
}
