#!/usr/bin/env bash
# The seed's benchmark with this engine: one prompt and the quality questions in float32, float16, int8 and int4. Same options and defaults as bench_vllm/bench.sh:
#   -p, --prompt        Prompt for benchmarks (default: 'Write an essay about the transformer model architecture')
#   -r, --repetitions   Number of repetitions (default: 10)
#   -m, --max_tokens    Maximum number of tokens (default: 512)
#   -d, --device        'cpu', 'cuda' or 'metal' (default: 'cuda')
#   -n, --model_name    'llama', 'mistral', 'demo', or a model's folder (default: 'llama')
#   -lf, --log_file     Logging file name
#   -h, --help          These and all others: --dummy, --precisions, --ignore-eos, ...
# Run it in the folder that has models/, where logs/ is made. It runs a packed or published program if there is one (ILGPULLM names it, otherwise the one beside this
# script or /tmp/app/ilgpullm, where tools/pack.sh's archive goes), else builds the program with the .NET SDK.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# With an SDK the checkout's own program is the one to measure; a program that lies somewhere may be of another commit.
for program in "${ILGPULLM:-}" "$root/bench/ilgpullm" "$(command -v dotnet > /dev/null || echo /tmp/app/ilgpullm)"; do
  if [ -n "$program" ] && [ -x "$program" ]; then
    exec "$program" bench precisions "$@"
  fi
done
if [ -n "${ILGPULLM:-}" ]; then
  echo "error: ILGPULLM is '$ILGPULLM', which is not a program" >&2
  exit 1
fi
if ! command -v dotnet > /dev/null; then
  echo "error: neither the .NET SDK nor a packed program: see tools/pack.sh, or set ILGPULLM to a published ilgpullm" >&2
  exit 1
fi
if ! output=$(dotnet build -c Release --nologo -v quiet "$root/src/IlgpuLlm.Cli" 2>&1); then
  echo "$output" >&2
  exit 1
fi
exec dotnet "$root/src/IlgpuLlm.Cli/bin/Release/net10.0/ilgpullm.dll" bench precisions "$@"
