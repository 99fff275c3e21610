#!/usr/bin/env python3
"""Stores Hugging Face's likeliest next tokens for seeded random token ids, for `ilgpullm-tools compare-top1`. Runs on the GPU machine.

  top1.py --model DIR --out FILE [--sequences 8] [--length 250] [--seed 1] [--device cuda]

For every position: the likeliest token, how far the second one is behind (a difference of logits) and the likeliest one's probability, in float32 (IEEE, no
TF32) and in float16. The file is JSON: {"sequences": [{"ids": [...], "float32": {"top1": [...], "gap": [...]}, "float16": {...}}]}.
"""
import argparse, gc, json


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", required=True)
    for name, value in dict(sequences=8, length=250, seed=1).items():
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--device", default="cuda")
    return parser.parse_args()


def main():
    args = parse()
    import torch
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    vocab = AutoConfig.from_pretrained(args.model).vocab_size
    generator = torch.Generator().manual_seed(args.seed)
    ids = torch.randint(3, vocab, (args.sequences, args.length), generator=generator)
    sequences = [{"ids": row} for row in ids.tolist()]
    name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    for dtype in ("float32", "float16"):
        model = AutoModelForCausalLM.from_pretrained(args.model, attn_implementation="eager", **{name: getattr(torch, dtype)}).to(args.device).eval()
        assert next(model.parameters()).dtype == getattr(torch, dtype)
        gaps, probabilities = [], []
        with torch.inference_mode():
            for sequence in sequences:  # one at a time: no padding, little memory
                logits = model(torch.tensor([sequence["ids"]], device=args.device)).logits[0].float()
                top = logits.topk(2)
                gap = top.values[:, 0] - top.values[:, 1]
                probability = logits.softmax(-1).amax(-1)
                gaps.append(gap)
                probabilities.append(probability)
                sequence[dtype] = {"top1": top.indices[:, 0].tolist(), "gap": gap.tolist(), "probability": probability.tolist()}
        gap, probability = torch.cat(gaps), torch.cat(probabilities)
        print(f"{dtype}: {len(gap)} positions, {(gap > 1e-3).float().mean() * 100:.2f} % with a gap above 1e-3, median gap {gap.median():.3f}, "
              f"median probability of the likeliest {probability.median():.3f}")
        del model
        gc.collect()
        if args.device != "cpu":
            torch.cuda.empty_cache()
    same = [a == b for s in sequences for a, b in zip(s["float32"]["top1"], s["float16"]["top1"])]
    print(f"float16 agrees with float32 on {100 * sum(same) / len(same):.2f} %")
    with open(args.out, "w") as file:
        json.dump({"model": args.model, "torch": torch.__version__, "transformers": transformers.__version__, "sequences": sequences}, file)


main()
