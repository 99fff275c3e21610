#!/usr/bin/env python3
"""Writes a random Llama checkpoint with layers of 4 bits in AutoAWQ's GEMM layout: sharded, with an index. Needs numpy; runs on the GPU machine.

  make_awq.py --out DIR [--layers 32] [--hidden 4096] [--intermediate 11008] [--heads 32] [--kv-heads 32] [--vocab 32000] [--group-size 128] [--seed 0] [--shard-gb 1]

The defaults are Llama-2-7B's shape (3.9 GB). Codes and zero points are random bits, scales make a product's standard deviation that of its input: for times, not for
texts. An int32 of qweight [inputs, outputs / 8] and qzeros [groups, outputs / 8] holds eight outputs; scales [groups, outputs] and all else are float16.
"""
import argparse, json, math, os, struct
import numpy as np


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    for name, value in dict(layers=32, hidden=4096, intermediate=11008, heads=32, kv_heads=32, vocab=32000, group_size=128, seed=0).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    parser.add_argument("--shard-gb", type=float, default=1)
    return parser.parse_args()


def tensors(args, random):
    """Names, shapes, and functions that make the values, in the order of a checkpoint."""
    def ones(name):
        yield name, "F16", (args.hidden,), lambda: np.ones(args.hidden, np.float16)

    def normal(name, rows, std):
        yield name, "F16", (rows, args.hidden), lambda: (random.standard_normal((rows, args.hidden), np.float32) * np.float32(std)).astype(np.float16)

    def linear(name, outputs, inputs):
        groups = inputs // args.group_size
        for part, rows in (("qweight", inputs), ("qzeros", groups)):
            yield f"{name}.{part}", "I32", (rows, outputs // 8), lambda rows=rows: np.frombuffer(random.bytes(rows * outputs // 2), np.int32)
        # The difference of two random codes has a standard deviation of 6.5.
        scale = np.float32(1 / (6.5 * math.sqrt(inputs)))
        yield f"{name}.scales", "F16", (groups, outputs), lambda: (random.uniform(0.5, 1.5, (groups, outputs)) * scale).astype(np.float16)

    yield from normal("model.embed_tokens.weight", args.vocab, 1)
    kv = args.hidden // args.heads * args.kv_heads
    for layer in range(args.layers):
        prefix = f"model.layers.{layer}."
        yield from ones(prefix + "input_layernorm.weight")
        for name, outputs in (("q", args.hidden), ("k", kv), ("v", kv), ("o", args.hidden)):
            yield from linear(f"{prefix}self_attn.{name}_proj", outputs, args.hidden)
        yield from ones(prefix + "post_attention_layernorm.weight")
        for name, outputs, inputs in (("gate", args.intermediate, args.hidden), ("up", args.intermediate, args.hidden), ("down", args.hidden, args.intermediate)):
            yield from linear(f"{prefix}mlp.{name}_proj", outputs, inputs)
    yield from ones("model.norm.weight")
    yield from normal("lm_head.weight", args.vocab, 1 / math.sqrt(args.hidden))


def write_shard(path, shard):
    """A safetensors file: the header's length, the header, the tensors one behind the other."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, shape, _ in shard:
        end = offset + size(dtype, shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, dtype, shape, make in shard:
            values = make()
            assert values.nbytes == size(dtype, shape), name
            file.write(values.data)


def size(dtype, shape):
    return math.prod(shape) * {"F16": 2, "I32": 4}[dtype]


def main():
    args = parse()
    for name, value, unit in (("hidden", args.hidden, args.group_size), ("intermediate", args.intermediate, args.group_size), ("hidden", args.hidden, 8 * args.heads)):
        if value % unit:
            raise SystemExit(f"--{name} {value} must be a multiple of {unit}")
    os.makedirs(args.out, exist_ok=True)
    shards, filled = [[]], 0
    for tensor in tensors(args, np.random.Generator(np.random.SFC64(args.seed))):
        if filled and filled + size(*tensor[1:3]) > args.shard_gb * 1e9:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += size(*tensor[1:3])
    files = [f"model-{number + 1:05}-of-{len(shards):05}.safetensors" for number in range(len(shards))]
    for file, shard in zip(files, shards):
        write_shard(os.path.join(args.out, file), shard)
    total = sum(size(*tensor[1:3]) for shard in shards for tensor in shard)
    index = {"metadata": {"total_size": total}, "weight_map": {tensor[0]: file for file, shard in zip(files, shards) for tensor in shard}}
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": args.vocab, "hidden_size": args.hidden, "intermediate_size": args.intermediate,
        "num_hidden_layers": args.layers, "num_attention_heads": args.heads, "num_key_value_heads": args.kv_heads, "max_position_embeddings": 4096, "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float16",
        "quantization_config": {"quant_method": "awq", "bits": 4, "group_size": args.group_size, "version": "gemm", "zero_point": True, "modules_to_not_convert": None},
    }
    for name, value in (("model.safetensors.index.json", index), ("config.json", config)):  # the configuration last: a folder that has one is whole
        with open(os.path.join(args.out, name), "w") as file:
            json.dump(value, file, indent=1)
    print(f"{total / 1e9:.2f} GB in {args.out}: {len(files)} files")


main()
