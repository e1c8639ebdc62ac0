#!/usr/bin/env bash
# Makes what images are built with where none is installed: Debian's Docker, its containerd and runc, in a directory.
# `scripts/local-builder.sh DIR` leaves the programs in DIR/bin and the libraries of its daemon in DIR/lib. Nothing is
# installed, and no daemon is started. Needs apt-get.
set -euo pipefail
. "$(dirname "$0")/debian.sh"
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt-get downloads as a user of its own

libraries=$(depends docker.io | sed -n 's/^ *Depends: \(lib[a-z0-9.+-]*\)$/\1/p')
libraries=$(printf '%s\n' "$libraries" | grep -v '^libc6$')
# What those need in turn; the C library is the machine's.
# shellcheck disable=SC2086 # names of packages have no spaces
needed=$(depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances $libraries |
  sed -n 's/^\(lib[a-z0-9.+-]*\)$/\1/p' | sort -u | grep -vE '^(libc6|libgcc-s1|libcrypt1)$')
(
  cd "$work"
  # shellcheck disable=SC2086
  download docker.io containerd runc $needed
  for deb in ./*.deb; do dpkg-deb -x "$deb" root; done
)
rm -rf "${out:?}"/{bin,lib}
mkdir -p "$out/bin" "$out/lib"
for program in docker dockerd containerd containerd-shim-runc-v2 runc; do
  find "$work/root/usr/bin" "$work/root/usr/sbin" -type f -name "$program" -exec mv {} "$out/bin/" \;
  [ -x "$out/bin/$program" ] || { echo "Debian's packages have no $program" >&2; exit 1; }
done
find "$work/root" -name 'lib*.so.*' -exec cp -a {} "$out/lib/" \;
du -sh "$out"
