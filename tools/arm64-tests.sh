#!/usr/bin/env bash
# Runs the CPU backend's tests as arm64 programs under qemu's user emulation, on an x64 Debian machine: kernel tests, golden tests, and a story. qemu, the
# C library and programs go to FOLDER; nothing is installed. `max` has dot products of bytes, `cortex-a72` has none. Perplexities, which take
# too long so, are left out. Says nothing about speed.
#   tools/arm64-tests.sh FOLDER [CPU...]             the CPUs: max and cortex-a72, or what `qemu-aarch64 -cpu help` lists
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: arm64-tests.sh FOLDER [CPU...]" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- max cortex-a72
export ILGPULLM_ROOT
ILGPULLM_ROOT=$(cd "$(dirname "$0")/.." && pwd)

debian=$folder/debian
if [ ! -x "$debian/usr/bin/qemu-aarch64" ]; then
  "$ILGPULLM_ROOT/tools/debian-packages.sh" "$debian" main qemu-user libc6:arm64 libgcc-s1:arm64 libstdc++6:arm64 zlib1g:arm64
fi
ln -sfn usr/lib "$debian/lib"
for project in tests/IlgpuLlm.Kernels.Tests tests/IlgpuLlm.Tests src/IlgpuLlm.Cli; do
  dotnet publish "$ILGPULLM_ROOT/$project" -c Release -r linux-arm64 --self-contained --artifacts-path "$folder/artifacts" -o "$folder/app" --nologo -v quiet
done

# What emulation takes badly: memory mapped twice, and threads that do not matter.
export DOTNET_EnableWriteXorExecute=0 DOTNET_gcServer=0 DOTNET_gcConcurrent=0 DOTNET_TieredPGO=0
emulate() { local cpu=$1 program=$2; shift 2; "$debian/usr/bin/qemu-aarch64" -cpu "$cpu" -L "$debian" "$folder/app/$program" "$@"; }

golden='FullyQualifiedName~.Golden.&FullyQualifiedName!~Ilgpu_&FullyQualifiedName!~Cuda&FullyQualifiedName!~Perplexity'
log=$folder/tests.log failed=0
: > "$log"
"$debian/usr/bin/qemu-aarch64" --version | head -n 1
for cpu; do
  echo "== $cpu: kernels"
  emulate "$cpu" IlgpuLlm.Kernels.Tests --filter 'FullyQualifiedName~.Cpu.' --output Detailed --no-ansi --progress off 2>&1 | tee -a "$log" || failed=1
  echo "== $cpu: golden"
  emulate "$cpu" IlgpuLlm.Tests --filter "$golden" --output Detailed --no-ansi --progress off 2>&1 | tee -a "$log" || failed=1
  echo "== $cpu: story"
  emulate "$cpu" ilgpullm generate "Once upon a time" --temperature 0 --max-tokens 40 || failed=1
done

count() { awk -v name="$1:" '/^Test run summary/ { inside = 1 } inside && $1 == name { sum += $2 } END { print sum + 0 }' "$log"; }
num_passed=$(count succeeded)
echo "$num_passed passed, $(count failed) failed, $(count skipped) skipped"
[ "$failed" -eq 0 ] && [ "$num_passed" -gt 0 ]
