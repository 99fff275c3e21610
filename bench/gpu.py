"""What bench/gpu.sh runs: measurements by section, kept as JSON, and the table of all that is there."""
import json, os, re, shutil, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("BENCH_PROGRAM", "/tmp/app/ilgpullm")
RESULTS = Path(os.environ.get("BENCH_RESULTS", "/tmp/ilgpullm-bench"))
DEVICE = os.environ.get("BENCH_DEVICE", "cuda")
END = time.time() + float(os.environ.get("BENCH_SECONDS", "570"))
CHECKPOINT = Path(os.environ.get("BENCH_CHECKPOINT", "/tmp/llama-7b-fp16"))
AWQ = Path(os.environ.get("BENCH_AWQ", "/tmp/llama-7b-awq"))
DEMO = ROOT / "src/IlgpuLlm.DemoModel/model"
# Of the random checkpoints, whose tokenizer has no template. A system text comes as an instruction of its own.
CHAT_TEMPLATE = ("{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %} {{ message['content'] }} {{ eos_token }}"
                 "{% else %}[INST] {{ message['content'] }} [/INST]{% endif %}{% endfor %}")

# The shapes, those of bench.sh --dummy; weights are random. BENCH_LLAMA and BENCH_MISTRAL name other folders.
MODELS = {"llama": ROOT / "src/IlgpuLlm.Bench/Precisions/llama-2-7b.json", "mistral": ROOT / "src/IlgpuLlm.Bench/Precisions/mistral-7b-v0.1.json"}

# llama.cpp b10587 on an H100 80GB, measured on 2026-11-24; not part of this run.
DECODE = {1: (215, 179), 8: (1550, 1118), 32: (5000, 2611), 64: (8000, 4990), 128: (11000, 6761)}
PREFILL = {512: (30000, 16200), 2048: (45000, None)}
GEMMS = {"512x4096x4096": 90, "2048x11008x4096": 100, "2048x4096x11008": 100, "4096x4096x4096": 100, "8192x8192x8192": 100}
GEMVS = {"4096x4096": 80, "11008x4096": 90, "4096x11008": 90, "32000x4096": 90}


def output_of(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def commit():
    packed = ROOT / ".gpu/commit"
    return packed.read_text().strip() if packed.exists() else output_of(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"])


def short(value):
    if isinstance(value, dict):
        return ", ".join(f"{name} {short(part)}" for name, part in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class Store:
    """Figures by name, on disk after each one. Those of another commit are dropped, the peers' stay."""

    def __init__(self):
        RESULTS.mkdir(parents=True, exist_ok=True)
        self.path = RESULTS / "results.json"
        self.values = json.loads(self.path.read_text()) if self.path.exists() else {}
        if self["commit"] != commit():
            self.values = {key: value for key, value in self.values.items() if key.startswith("peer ")} | {"commit": commit()}

    def __getitem__(self, key):
        return self.values.get(key)

    def put(self, key, value):
        self.values[key] = value
        self.path.write_text(json.dumps(self.values, indent=1))
        print(f"  {key}: {short(value)}")


store = Store()


def run(command, limit, keeps_partial=False):
    """The output, or None if it failed or took too long; never beyond the end of this script's time. keeps_partial: then the lines until there."""
    left = END - time.time()
    name = " ".join(str(c) for c in command)
    if left < 5:
        print(f"  no time left for: {name}")
        return None
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=min(limit, left), env=os.environ | {"PYTHONUNBUFFERED": "1"})
    except subprocess.TimeoutExpired as late:
        print(f"  took more than {min(limit, left):.0f} s: {name}")
        lines = (late.stdout or b"").decode(errors="replace")
        return lines[:lines.rfind("\n") + 1] if keeps_partial else None
    if done.returncode != 0:
        print(f"  failed ({done.returncode}): {name}\n{(done.stderr or done.stdout)[-1500:]}")
        return done.stdout if keeps_partial else None
    return done.stdout


def model(name):
    folder = os.environ.get(f"BENCH_{name.upper()}")
    if folder:
        return folder
    folder = RESULTS / name
    folder.mkdir(exist_ok=True)
    shutil.copy(MODELS[name], folder / "config.json")
    return folder


def bench(command, name="llama", limit=100, **options):
    """Runs ilgpullm bench and returns its JSON lines."""
    words = [w for key, value in options.items() for v in (value if isinstance(value, list) else [value]) for w in ("--" + key.replace("_", "-"), v)]
    out = run([PROGRAM, "bench", command, "--model", model(name), "--device", DEVICE, "--load-format", "dummy", "--json", *words], limit)
    return [json.loads(line) for line in out.splitlines()] if out else []


def keep(key, rows):
    if rows:
        store.put(key, rows[0])


def decode(name="llama"):
    keep(f"{name} decode float16 1", bench("latency", name, dtype="float16", batch_size=1, input_len=16, output_len=256, num_iters=3))
    if name == "llama":
        keep(f"{name} decode float32 1", bench("latency", name, dtype="float32", batch_size=1, input_len=16, output_len=256, num_iters=2))
    for batch in (8, 32, 64, 128):
        keep(f"{name} decode float16 {batch}", bench("latency", name, dtype="float16", batch_size=batch, input_len=128, output_len=128, num_iters=2))


def prefill(name="llama"):
    for length in PREFILL:
        keep(f"{name} prefill float16 {length}", bench("latency", name, dtype="float16", batch_size=1, input_len=length, output_len=2, num_iters=5))


def throughput():
    keep("llama throughput", bench("throughput", dtype="float16", num_prompts=512, input_len=128, output_len=128, limit=200,
                                   max_num_seqs=os.environ.get("BENCH_MAX_NUM_SEQS", "256")))


def kernels():
    for row in bench("kernels", dtype="float16", linear=list(GEMMS), limit=150):
        store.put(f"gemm {row['num_rows']}x{row['name'].split()[-1]}", row)
    for row in bench("kernels", dtype="float16", linear=[f"1x{shape}" for shape in GEMVS], limit=100):
        store.put(f"gemv {row['name'].split()[-1]}", row)
    keep("attention prefill", bench("kernels", dtype="float16", prefill_len=4096, filter="attention"))
    keep("attention decode", bench("kernels", dtype="float16", batch_size=64, context_len=2048, filter="attention"))


def carried(name, shared):
    """A file or folder that tools/pack.sh copied to .gpu, or that lies beside the checkout; None where there is neither."""
    return next((path for path in (ROOT / ".gpu" / name, ROOT.parent / "shared" / shared) if path.exists()), None)


def make(folder, script, limit):
    """Makes a folder of random weights and gives it a tokenizer: Llama's where that was carried along, else the demo model's, whose ids are fewer."""
    if not (folder / "config.json").exists() and run([sys.executable, ROOT / "tools/hf_compare" / script, "--out", folder], limit) is None:
        return False
    for file in (carried("tokenizer", "tokenizers/llama2") or DEMO).glob("tokenizer*"):
        shutil.copyfile(file, folder / file.name)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    return True


def time_start(folder, key):
    """Seconds from the process's start to its first token with the folder in the page cache: first without a compiled kernel on disk, then with all."""
    for path in folder.glob("*.safetensors"):
        with open(path, "rb", buffering=0) as file:
            while file.read(64 << 20):
                pass
    cache = RESULTS / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    for name in (f"{key} first start", key, key):  # of the second and third start the faster one counts
        start = time.time()
        process = subprocess.Popen([PROGRAM, "generate", "--model", folder, "--device", DEVICE, "--prompt-ids", "1,5,9", "--max-tokens", "1", "--stats"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"ILGPULLM_CACHE": str(cache)})
        process.stdout.read(1)
        seconds = time.time() - start
        errors = process.stderr.read().decode()
        if process.wait() != 0:
            print(f"  generate failed:\n{errors[-1500:]}")
            return
        store.put(name, min(seconds, store[key]) if name == key and store[key] else seconds)
        print("   ", " ".join(errors.split()))


def load():
    if make(CHECKPOINT, "make_checkpoint.py", 300):
        time_start(CHECKPOINT, "load")


def awq_load():
    start = time.time()
    if make(AWQ, "make_awq.py", 120):
        print(f"  written in {time.time() - start:.0f} s")
        time_start(AWQ, "awq load")


def quality():
    """Greedy answers of Transformers in float32, and ours in all precisions beside them: the demo model, then the 7B shape."""
    compare_answers("demo", DEMO, "demo", ROOT / "src/IlgpuLlm.Bench/Quality/questions.json", "other")
    if make(CHECKPOINT, "make_checkpoint.py", 150):
        compare_answers("7B", CHECKPOINT, CHECKPOINT, carried("questions.json", "seed/questions.json") or ROOT / "src/IlgpuLlm.Bench/Quality/questions.json", "llama")


def compare_answers(name, folder, ours, questions, turns):
    truth = RESULTS / f"truth-{name}.json"  # of another library, so it outlasts our commits
    if not truth.exists():
        start = time.time()
        out = run([sys.executable, ROOT / "tools/hf_ground_truth.py", "--model", folder, "--questions", questions, "--model-name", turns, "--device", DEVICE, "--out", truth], 150)
        if out is None:
            return
        print(f"  Transformers, {name}: {time.time() - start:.0f} s\n{out.rstrip()}")
    start = time.time()
    out = run([PROGRAM, "quality", "--model-name", ours, "--device", DEVICE, "--questions", questions, "--ground-truth", truth, "--json"], 280, keeps_partial=True)
    print(f"  ours, {name}: {time.time() - start:.0f} s")
    if not out:
        return
    (RESULTS / f"quality-{name}.jsonl").write_text(out)
    gaps = [answer["gaps"] for answer in json.loads(truth.read_text())["answers"]]
    for line in out.splitlines():
        result = json.loads(line)
        scores = result["quality"]
        if not scores:
            print(f"  {result['precision']}: {result['problem']}")
            continue
        for number, answer in enumerate(scores["answers"]):
            matched = answer["match_tokens"]
            if result["precision"] == "float32" and matched < answer["reference_tokens"]:
                print(f"  float32, answer {number + 1}: token {matched + 1} of {answer['reference_tokens']} differs; there the second likeliest is {gaps[number][matched]:.2g} behind")
        store.put(f"quality {name} {result['precision']}", {key: value for key, value in scores.items() if key != "answers"})


def baseline(mode, limit):
    script = carried("hf_baseline.py", "gpu/hf_baseline.py")
    if script is None:
        print("  no hf_baseline.py: tools/pack.sh copies it to .gpu")
        return
    out = run([sys.executable, script, mode], limit, keeps_partial=True)
    for line in (out or "").splitlines():
        name, _, figures = line.rpartition(": ")
        if name:
            store.put("peer " + name, figures)


def peers_gemm():
    baseline("gemm", 120)
    out = run([sys.executable, ROOT / "bench/torch_kernels.py"], 90)
    for line in (out or "").splitlines():
        name, _, figures = line.rpartition(": ")
        store.put("peer " + name, figures)


SECTIONS = {
    "decode": decode,
    "prefill": prefill,
    "throughput": throughput,
    "kernels": kernels,
    "load": load,
    "awq-load": awq_load,
    "quality": quality,
    "mistral": lambda: (decode("mistral"), prefill("mistral")),
    "peers-gemm": peers_gemm,
    "peers-eager": lambda: baseline("eager", 200),
    "peers-static": lambda: baseline("static", 200),
    "peers-batch": lambda: baseline("batch", 150),
}
GROUPS = {"peers": [s for s in SECTIONS if s.startswith("peers-")], "all": list(SECTIONS)}


def peer(name, unit):
    """A peer's figure in a unit, such as the tok/s of 'hf ...: 12.3 tok/s'."""
    figures = store["peer " + name]
    found = re.search(r"([\d.]+) " + re.escape(unit), figures) if figures else None
    return float(found[1]) if found else None


def number(value, digits=None):
    if value is None:
        return "-"
    return f"{value:,.{digits if digits is not None else 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def row(what, goal, ours, its=None, peer_name="", noted=None, unit="", smaller=False):
    """A line of the table, or None where nothing was measured; ratios above 1 are in our favour."""
    if ours is None and its is None:
        return None
    def ratio(other):
        if not ours or not other:
            return "-"
        return f"{other / ours if smaller else ours / other:.2f}"
    sign = "<=" if smaller else ">="
    peer_text = f"{number(its)} ({peer_name})" if its else "-"
    goal_text = f"({unit})" if goal is None else f"{sign} {number(goal)} {unit}"
    return f"| {what} | {goal_text} | {number(ours)} | {ratio(goal)} | {peer_text} | {ratio(its)} | {number(noted)} | {ratio(noted)} |"


def sequences(count):
    return "1 sequence" if count == 1 else f"{count} sequences"


def field(key, name):
    result = store[key]
    return result.get(name) if result else None


def goal_share(llama_key, field_name, share_name, goal):
    """The share of the limit that a goal of the Llama shape stands for, once that was measured: the goal of the Mistral shape."""
    value, share = field(llama_key, field_name), field(llama_key, share_name)
    return share * goal / value if value else None


def table():
    rate, copy = "decode_tokens_per_second", peer("copy", "TB/s")
    lines = ["| | goal | ours | ours / goal | peer, this run | ours / peer | llama.cpp (noted before) | ours / it |", "|---|---|---|---|---|---|---|---|"]
    hf = {1: ("hf static+compile float16 batch 1", "HF compiled"), 32: ("hf eager torch.float16 batch 32", "HF eager")}
    for batch, (goal, noted) in DECODE.items():
        name, label = hf.get(batch, ("", ""))
        lines.append(row(f"decode float16, {sequences(batch)}", goal, field(f"llama decode float16 {batch}", rate), peer(name, "tok/s"), label, noted, "tok/s"))
    lines.append(row("decode float32, 1 sequence", 110, field("llama decode float32 1", rate), peer("hf eager torch.float32 batch 1", "tok/s"), "HF eager", 105, "tok/s"))
    for length, (goal, noted) in PREFILL.items():
        its = peer("hf prefill torch.float16 2048", "tok/s") if length == 2048 else None
        lines.append(row(f"prefill float16, {length} tokens", goal, field(f"llama prefill float16 {length}", "prefill_tokens_per_second"), its, "HF eager", noted, "tok/s"))
    lines.append(row("512 requests, 128 in / 128 out, float16, output", 9000, field("llama throughput", "output_tokens_per_second"),
                     peer("hf continuous batching 128 x 128/128", "tok/s"), "HF continuous batching, 128 requests", 4980, "tok/s"))
    for shape, percent in GEMMS.items():
        its = peer(f"cublas gemm {shape}", "TFLOP/s")
        lines.append(row(f"GEMM float16 {shape}", its * percent / 100 if its else None, field(f"gemm {shape}", "teraflops"), its, "cuBLAS", None, "TFLOP/s"))
    for shape, percent in GEMVS.items():
        its = peer(f"cublas linear batch 1 {shape}", "TB/s")
        lines.append(row(f"GEMV float16 {shape}", percent, field(f"gemv {shape}", "percent_of_copy"), 100 * its / copy if its and copy else None, "cuBLAS", None, "% of copy"))
    lines.append(row("host time not hidden behind the GPU, decode float16, 64 sequences", 3, field("llama decode float16 64", "unhidden_host_percent"),
                     None, "", None, "% of the step", smaller=True))
    lines.append(row("prefill attention, 4,096 tokens, 32 heads x 128, causal", 400, field("attention prefill", "teraflops"),
                     peer("sdpa flash causal 4096", "TFLOP/s"), "torch FlashAttention", None, "TFLOP/s"))
    lines.append(row("decode attention, 64 sequences x 2,048", 85, field("attention decode", "percent_of_copy"), None, "", None, "% of copy"))
    for key, what, goal in (("load", "7B float16", 6), ("awq load", "7B AWQ, 4 bits,", 3)):
        lines.append(row(f"process start to first token, {what} in the page cache", goal, store[key], None, "", None, "s", smaller=True))
        lines.append(row("the same, no compiled kernel on disk", None, store[key + " first start"], None, "", None, "s", smaller=True))
    for batch, (goal, _) in DECODE.items():
        share = goal_share(f"llama decode float16 {batch}", rate, "decode_percent_of_copy", goal)
        lines.append(row(f"Mistral shape: decode float16, {sequences(batch)} ({number(field(f'mistral decode float16 {batch}', rate))} tok/s)", share,
                         field(f"mistral decode float16 {batch}", "decode_percent_of_copy"), None, "", None, "% of copy"))
    for length, (goal, _) in PREFILL.items():
        share = goal_share(f"llama prefill float16 {length}", "prefill_tokens_per_second", "prefill_teraflops", goal)
        tokens = number(field(f"mistral prefill float16 {length}", "prefill_tokens_per_second"))
        lines.append(row(f"Mistral shape: prefill float16, {length} tokens ({tokens} tok/s)", share, field(f"mistral prefill float16 {length}", "prefill_teraflops"),
                         None, "", None, "TFLOP/s"))
    return "\n".join(line for line in lines if line) if any(lines[2:]) else "No figure of the table was measured."


def quality_table():
    """How our answers compare with those of Transformers; empty where nothing was asked."""
    rows = []
    for name in ("demo", "7B"):
        for precision in ("float32", "float16", "int8", "int4"):
            scores = store[f"quality {name} {precision}"]
            if scores:
                kl, perplexity = scores.get("mean_kl"), scores.get("text_perplexity")
                rows.append(f"| {name}, {precision} | {scores['exact_matches']} of {scores['num_questions']} | {scores['token_match_percent']:.1f} | {scores['top1_percent']:.2f} | "
                            f"{'-' if kl is None else f'{kl:.2g}'} | {number(perplexity, 2)} | {scores.get('num_prompts_that_differ', '-')} |")
    if not rows:
        return ""
    return "\n".join(["\n| greedy answers, reference: Transformers in float32 | equal token for token | leading tokens equal, % | likeliest token equal, % | "
                      "mean KL from our float32, nats | perplexity of a text | prompts tokenized otherwise |", "|---|---|---|---|---|---|---|", *rows, ""])


def header():
    gpu = output_of(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]) or "no nvidia-smi"
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    ours = next((v["copy_gigabytes_per_second"] for v in store.values.values() if isinstance(v, dict) and "copy_gigabytes_per_second" in v), None)
    copies = f"device copy, read + write: {number(ours)} GB/s by the engine, {store['peer copy'] or '-'} by torch"
    return (f"GPU: {gpu}; CPU: {os.cpu_count()} x {cpu}; Linux {os.uname().release}; {time.strftime('%Y-%m-%d')}; commit {commit()}. Llama-2-7B shape, random weights; "
            f"{copies}.")


def main():
    wanted = [s for name in sys.argv[1:] or ["all"] for s in GROUPS.get(name, [name])]
    unknown = [s for s in wanted if s not in SECTIONS]
    if unknown:
        sys.exit(f"unknown sections {unknown}; there are {', '.join([*SECTIONS, *GROUPS])}")
    for name in wanted:
        start = time.time()
        print(f"{name}:")
        try:
            SECTIONS[name]()
        except Exception as error:  # the other sections still count
            print(f"  {name} failed: {error!r}")
        print(f"  {time.time() - start:.0f} s")
    text = f"{header()}\n\n{table()}\n{quality_table()}"
    (RESULTS / "table.md").write_text(text)
    if os.environ.get("OUT"):
        for file in [RESULTS / "results.json", RESULTS / "table.md", *RESULTS.glob("quality-*.jsonl"), *RESULTS.glob("truth-*.json")]:
            shutil.copy(file, os.environ["OUT"])
    print("\n" + text)


main()
