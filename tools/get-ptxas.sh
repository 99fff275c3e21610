#!/usr/bin/env bash
# Fetches ptxas, nvdisasm and cuobjdump 12.4 from Debian's archive (package nvidia-cuda-toolkit, non-free) into FOLDER/usr/bin. Nothing is
# installed. ptxas needs no GPU.
#   tools/get-ptxas.sh tools/bin        exit codes: 0 there, 3 Debian cannot be reached, 1 anything else
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: get-ptxas.sh FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
if [ -x "$folder/usr/bin/ptxas" ]; then exit 0; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$(dirname "$0")/debian-packages.sh" "$work" non-free nvidia-cuda-toolkit
mkdir -p "$folder/usr/bin"
cp "$work"/usr/bin/{nvdisasm,cuobjdump,ptxas} "$folder/usr/bin/"
"$folder/usr/bin/ptxas" --version | tail -n 2
