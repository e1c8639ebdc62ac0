#!/usr/bin/env bash
# Installs the system packages that the builds and localkube need. Does nothing when all are there.
set -euo pipefail

declare -A package_of=(
  [gcc]=gcc [pkg-config]=pkg-config [ip]=iproute2 [iptables]=iptables [nft]=nftables [conntrack]=conntrack
)
missing=()
for command in "${!package_of[@]}"; do
  command -v "$command" >/dev/null 2>&1 || PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null 2>&1 || missing+=("${package_of[$command]}")
done
pkg-config --exists libseccomp 2>/dev/null || missing+=(libseccomp-dev)
[ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
  echo "missing: ${missing[*]}; install these packages with your package manager, then run the command again" >&2
  exit 1
fi
echo "installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
