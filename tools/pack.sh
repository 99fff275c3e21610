#!/usr/bin/env bash
# Packs programs for a Linux x64 GPU machine without .NET: one self-contained folder for all of them, so that the runtime is in it once.
#   tools/pack.sh src/IlgpuLlm.Cli tests/IlgpuLlm.Kernels.Tests ...     -> .gpu/app.txz
# PACK_OPTIONS goes to dotnet publish: -p:PublishReadyToRun=true makes ilgpullm start in 0.22 instead of 0.32 s of processor time and the archive 4 MB larger
# (36 MB with IlgpuLlm.Cli alone, which with the checkout is more than 64 MiB).
# The demo model's files stay out, as they travel with the checkout; run what is printed at the end on the other machine, in the checkout.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: pack.sh PROJECT..." >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/.gpu
rm -rf "$out/app" "$out/app.txz"
mkdir -p "$out/app"
for project in "$@"; do
  dotnet publish "$root/$project" -c Release -r linux-x64 --self-contained -o "$out/app" --nologo -v quiet ${PACK_OPTIONS:-}
done
# What a debugger or tracer needs; 10 of 85 MB.
(cd "$out/app" && rm -rf demo-model demo-model-int4 libcoreclrtraceprovider.so libmscordaccore.so libmscordbi.so createdump ./*.pdb)
tar -C "$out" -cf - app | xz -T0 -6 > "$out/app.txz"
rm -rf "$out/app"
# What bench/gpu.sh needs of this machine: the commit, and where there are such the peers' script, the seed's questions and a tokenizer of 32,000 tokens.
git -C "$root" describe --always --dirty --abbrev=40 > "$out/commit"
shared=${ILGPULLM_SHARED:-$root/../shared}
for file in gpu/hf_baseline.py seed/questions.json; do
  [ ! -f "$shared/$file" ] || cp "$shared/$file" "$out/"
done
[ ! -d "$shared/tokenizers/llama2" ] || { rm -rf "$out/tokenizer" && cp -r --no-preserve=mode "$shared/tokenizers/llama2" "$out/tokenizer"; }
ls -l "$out/app.txz"

cat << 'TEXT'
On the GPU machine, in the root of the checkout, with .gpu carried along:
  tar xJf .gpu/app.txz -C /tmp && cp -r src/IlgpuLlm.DemoModel/model /tmp/app/demo-model && cp -r src/IlgpuLlm.DemoModel/model /tmp/app/demo-model-int4 && cp -r src/IlgpuLlm.DemoModel/model-int4/. /tmp/app/demo-model-int4
  export ILGPULLM_ROOT=$PWD                # where tests find tests/data
  /tmp/app/IlgpuLlm.Kernels.Tests          # any of the packed programs
  bench/bench.sh -d cuda -n llama --dummy  # with IlgpuLlm.Cli packed: the benchmark in all precisions
  bench/gpu.sh decode peers                # with IlgpuLlm.Cli packed: figures beside those of Transformers and cuBLAS
TEXT
