#!/usr/bin/env bash
# Fetches ptxas, nvdisasm and cuobjdump 12.4 from Debian's archive (package nvidia-cuda-toolkit, non-free) into FOLDER/usr/bin. Nothing is
# installed and the machine's apt sources stay as they are. ptxas needs no GPU.
#   tools/get-ptxas.sh tools/bin        exit codes: 0 there, 3 Debian cannot be reached, 1 anything else
set -euo pipefail
unreachable=3

[ $# -eq 1 ] || { echo "usage: get-ptxas.sh FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
if [ -x "$folder/usr/bin/ptxas" ]; then exit 0; fi
for program in apt-get dpkg-deb; do
  command -v "$program" > /dev/null || { echo "get-ptxas: no $program: this is not a Debian machine; put ptxas at $folder/usr/bin/ptxas" >&2; exit 1; }
done

# The mirror that this machine is set up to use, from either form of its sources.
sources=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2> /dev/null || true)
mirror=$(grep -oE 'https?://[^ ]+/debian/?( |$)' <<< "$sources" | head -n 1 | tr -d ' ' || true)
mirror=${mirror:-http://deb.debian.org/debian}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror trixie non-free" > "$work/sources.list"
apt() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists" \
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -o Acquire::Retries=2 -o APT::Update::Error-Mode=any "$@"
}

if ! { apt update && (cd "$work" && apt download nvidia-cuda-toolkit); } 2> "$work/errors"; then
  cat "$work/errors" >&2
  if grep -qE 'Could not (resolve|connect|handshake)|Temporary failure|Unable to connect|Connection (failed|timed out|refused)|Network is unreachable' "$work/errors"; then
    exit $unreachable
  fi
  exit 1
fi
dpkg-deb --extract "$work"/nvidia-cuda-toolkit_*.deb "$work/package"
mkdir -p "$folder/usr/bin"
cp "$work"/package/usr/bin/{nvdisasm,cuobjdump,ptxas} "$folder/usr/bin/"
"$folder/usr/bin/ptxas" --version | tail -n 2
