#!/usr/bin/env python3
"""Writes a random Llama checkpoint in float16 with torch and Transformers, as Hugging Face writes it: sharded, with an index. Runs on the GPU machine.

  make_checkpoint.py --out DIR [--layers 32] [--hidden 4096] [--intermediate 11008] [--heads 32] [--kv-heads 32] [--vocab 32000] [--seed 0] [--device cuda]

The defaults are Llama-2-7B's shape (13.5 GB). Weights are seeded and scaled so that the likeliest token stands out and hangs on all layers:
- embeddings have unit variance, and what all layers add to them together is about as large, so that rounding in a layer moves the sum little;
- logits have a standard deviation of --logit-std (12), so that the top two are mostly more than 2 apart, and the likeliest has a probability of about 0.85;
- queries and keys are large enough that attention prefers some tokens.
(Figures of a simulation with 32 layers of 512; the embeddings alone give the right token in 5 % of the positions, float16 with a float32 residual in 99.6 to 100 %.)
"""
import argparse, math, os


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    for name, value in dict(layers=32, hidden=4096, intermediate=11008, heads=32, kv_heads=32, vocab=32000, seed=0).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    parser.add_argument("--logit-std", type=float, default=12)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shard", default="5GB")
    return parser.parse_args()


def main():
    args = parse()
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=args.vocab, hidden_size=args.hidden, intermediate_size=args.intermediate, num_hidden_layers=args.layers,
        num_attention_heads=args.heads, num_key_value_heads=args.kv_heads, max_position_embeddings=4096, tie_word_embeddings=False)
    torch.manual_seed(args.seed)
    torch.set_default_dtype(torch.float16)
    with torch.device(args.device):
        model = LlamaForCausalLM(config)
    model.eval()

    # A product of a vector of unit variance with a matrix of standard deviation s has s * sqrt(inputs).
    def fill(weight, std):
        weight.normal_(0, std / math.sqrt(weight.shape[1]))

    branches = math.sqrt(2 * args.layers)  # two additions a layer
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(0, 1)
        for layer in model.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            fill(attention.q_proj.weight, 1.5)
            fill(attention.k_proj.weight, 1.5)
            fill(attention.v_proj.weight, 1)
            fill(attention.o_proj.weight, 3 / branches)  # attention averages values: they come out smaller than 1
            fill(mlp.gate_proj.weight, 1)
            fill(mlp.up_proj.weight, 1)
            fill(mlp.down_proj.weight, 2 / branches)  # silu(gate) * up has a standard deviation of about 0.6
        fill(model.lm_head.weight, args.logit_std)
    os.makedirs(args.out, exist_ok=True)
    model.save_pretrained(args.out, max_shard_size=args.shard)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e9:.2f} billion weights in {args.out}: {sorted(os.listdir(args.out))}")


main()
