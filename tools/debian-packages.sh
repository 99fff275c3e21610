#!/usr/bin/env bash
# Extracts packages of Debian 13 into FOLDER. Nothing is installed and the machine's apt sources stay as they are.
#   tools/debian-packages.sh FOLDER COMPONENT PACKAGE[:ARCHITECTURE]...        exit codes: 0 there, 3 Debian cannot be reached, 1 anything else
set -euo pipefail
unreachable=3

[ $# -ge 3 ] || { echo "usage: debian-packages.sh FOLDER COMPONENT PACKAGE[:ARCHITECTURE]..." >&2; exit 2; }
folder=$1 component=$2
shift 2
for program in apt-get dpkg-deb; do
  command -v "$program" > /dev/null || { echo "debian-packages: no $program: this is not a Debian machine; get $* another way" >&2; exit 1; }
done

# The mirror that this machine is set up to use, from either form of its sources.
sources=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2> /dev/null || true)
mirror=$(grep -oE 'https?://[^ ]+/debian/?( |$)' <<< "$sources" | head -n 1 | tr -d ' ' || true)
[ -n "$mirror" ] || { echo "debian-packages: apt's sources name no mirror of Debian" >&2; exit $unreachable; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
architectures=$({ dpkg --print-architecture; printf '%s\n' "$@" | sed -n 's/.*://p'; } | sort -u)
echo "deb [arch=$(tr '\n' ',' <<< "$architectures" | sed 's/,$//') signed-by=$keyring] $mirror trixie $component" > "$work/sources.list"
mapfile -t options < <(sed 's/^/-oAPT::Architectures::=/' <<< "$architectures")
apt() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$work/lists" \
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root -o Acquire::Retries=2 -o APT::Update::Error-Mode=any "${options[@]}" "$@"
}

if ! { apt update && (cd "$work" && apt download "$@"); } 2> "$work/errors"; then
  cat "$work/errors" >&2
  if grep -qE 'Could not (resolve|connect|handshake)|Temporary failure|Unable to connect|Connection (failed|timed out|refused)|Network is unreachable' "$work/errors"; then
    exit $unreachable
  fi
  exit 1
fi
for package in "$work"/*.deb; do
  dpkg-deb --extract "$package" "$folder"
done
