#!/usr/bin/env python3
"""Writes Hugging Face's greedy answers to a question file, for `ilgpullm quality --ground-truth`. Needs torch and transformers; runs on the GPU machine.

  hf_ground_truth.py --model DIR --questions FILE --out FILE [--tokenizer DIR] [--model-name llama] [--dtype float32] [--device cuda]

Questions are in the form of the seed's questions.json (src/IlgpuLlm.Bench/Quality/questions.json is this project's own). Prompts are made as `ilgpullm quality` makes
them: system text and question through the chat template (--model-name mistral: the system text as a turn of the user with a short answer), or, where there is no
template, the question alone. --tokenizer names another folder for models that have no tokenizer, such as random checkpoints. The file is JSON:
{"format": "ilgpullm-ground-truth-1", "model", "dtype", "transformers", "torch", "answers": [{"question", "prompt_token_ids", "token_ids", "answer", "gaps"}]};
gaps are how far the second likeliest logit is behind at each token: where it is tiny, another order of sums may take the other token.
"""
import argparse, json

SYSTEM = "You answers should always be to the point, precise and not more than 2 sentences strictly"  # the seed's words


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "questions", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--tokenizer")
    parser.add_argument("--model-name", default="llama", choices=["llama", "mistral", "other"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16"])
    parser.add_argument("--device", default="cuda")
    return parser.parse_args()


def messages(question, model_name):
    before = [{"role": "user", "content": SYSTEM}, {"role": "assistant", "content": "Sure, noted."}] if model_name == "mistral" else [{"role": "system", "content": SYSTEM}]
    return before + [{"role": "user", "content": question}]


def main():
    args = parse()
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # IEEE float32: no TF32 anywhere.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    with open(args.questions, encoding="utf-8") as file:
        questions = json.load(file)
    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer or args.model)
    name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    model = AutoModelForCausalLM.from_pretrained(args.model, attn_implementation="eager", **{name: getattr(torch, args.dtype)}).to(args.device).eval()
    assert next(model.parameters()).dtype == getattr(torch, args.dtype)
    eos = model.generation_config.eos_token_id
    eos = set(eos if isinstance(eos, list) else [] if eos is None else [eos])
    longest = model.config.max_position_embeddings
    answers = []
    for question in questions:
        if tokenizer.chat_template:
            text = tokenizer.apply_chat_template(messages(question["prompt"], args.model_name), tokenize=False, add_generation_prompt=True)
            prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            prompt = tokenizer(question["prompt"])["input_ids"]
        # Greedy by hand: generate() reads generation_config.json, whose penalties and filters are not wanted here.
        tokens, gaps, cache = [], [], None
        ids = torch.tensor([prompt], device=args.device)
        with torch.inference_mode():
            while len(tokens) < min(question["max_tokens"], longest - len(prompt)):
                output = model(ids, past_key_values=cache, use_cache=True)
                cache = output.past_key_values
                top = output.logits[0, -1].float().topk(2)
                tokens.append(top.indices[0].item())
                gaps.append((top.values[0] - top.values[1]).item())
                if tokens[-1] in eos:
                    break
                ids = torch.tensor([[tokens[-1]]], device=args.device)
        # A random model may give ids that a borrowed tokenizer does not have.
        answer = tokenizer.decode([t for t in tokens if t < len(tokenizer)], skip_special_tokens=True)
        answers.append({"question": question["prompt"], "prompt_token_ids": list(prompt), "token_ids": tokens, "answer": answer, "gaps": gaps})
        print(f"{len(prompt)} prompt tokens, {len(tokens)} new ({len(set(tokens))} different), smallest gap {min(gaps):.2g}: {answer[:80]!r}")
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump({"format": "ilgpullm-ground-truth-1", "model": args.model, "dtype": args.dtype, "transformers": transformers.__version__, "torch": torch.__version__,
                   "answers": answers}, file, ensure_ascii=False)


main()
