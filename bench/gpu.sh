#!/usr/bin/env bash
# Measures this engine, Hugging Face Transformers and cuBLAS on one GPU and prints them side by side. It needs Linux x64 with an NVIDIA driver, python3 with
# torch and transformers for the peers, and no .NET: run tools/pack.sh first, carry .gpu along, and run this in the checkout.
#   bench/gpu.sh SECTION...      sections: decode prefill throughput kernels load awq-load quality mistral peers peers-gemm peers-static peers-eager peers-batch all
# A section is skipped when BENCH_SECONDS (default 570) are over, so that a machine's time limit does not lose results; call it again for the others: figures
# are kept in BENCH_RESULTS (default /tmp/ilgpullm-bench) and, where OUT names a folder, copied there with the table.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${BENCH_PROGRAM:-}" ]; then
  archive=$(sha256sum < "$root/.gpu/app.txz")
  if [ "$archive" != "$(cat /tmp/app/archive 2> /dev/null)" ]; then
    rm -rf /tmp/app
    tar xJf "$root/.gpu/app.txz" -C /tmp
    cp -r "$root/src/IlgpuLlm.DemoModel/model" /tmp/app/demo-model
    cp -r "$root/src/IlgpuLlm.DemoModel/model" /tmp/app/demo-model-int4 # what both variants share, then what is its own
    cp -r "$root/src/IlgpuLlm.DemoModel/model-int4/." /tmp/app/demo-model-int4
    echo "$archive" > /tmp/app/archive
  fi
  export BENCH_PROGRAM=/tmp/app/ilgpullm
fi
exec python3 -u "$root/bench/gpu.py" "$@"
