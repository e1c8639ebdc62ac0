#!/usr/bin/env bash
# Makes root file systems for local images, where no registry can be reached: of Debian's packages a PostgreSQL, a Redis, and
# an application with a shell and their clients; the example of akinon.json; something that catches mail as Mailpit does; and
# a slim Debian to build on. `scripts/local-images.sh DIR` leaves DIR/{postgres,redis,app,shop,mail,debian}, to be pushed with
# `localkube push REF DIR/NAME`. Needs apt-get, Go and what `make build` makes, and installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/debian.sh
out=$(mkdir -p "$1" && cd "$1" && pwd)
bin=$PWD/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt-get downloads as a user of its own

server=$(depends postgresql | sed -n 's/^ *Depends: \(postgresql-[0-9]*\)$/\1/p' | head -1)
version=${server#postgresql-}

# What a package needs at run time, without what only its installation or an administrator does.
closure() {
  depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@" |
    sed -n 's/^\([a-z0-9][a-z0-9.+-]*\)$/\1/p' | sort -u |
    grep -vE '^(perl|libperl|debconf|cdebconf|adduser|passwd|systemd|libllvm|libz3|ucf|dpkg|tar|sed|coreutils|locales|postgresql-common|postgresql-client-common|ssl-cert|openssl|usrmerge|install-info|init-system|gcc-[0-9]+-base)'
}
(
  cd "$work"
  # shellcheck disable=SC2046 # names of packages have no spaces
  download $(closure "$server" "postgresql-client-$version" redis-server redis-tools busybox)
  for deb in ./*.deb; do dpkg-deb -x "$deb" root; done
)
root=$work/root
libraries=$(find "$root" -type d -name '*-linux-gnu*' -path '*lib*' | paste -sd: -)

# take NAME FILE...: copies programs of the packages, and all that they load, into the root file system NAME.
take() {
  local to=$out/$1 file lib
  shift
  for file in "$@"; do
    mkdir -p "$to$(dirname "$file")"
    cp -L "$root$file" "$to$file"
    LD_LIBRARY_PATH=$libraries ldd "$root$file" 2>/dev/null | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p' | while read -r lib; do
      local at=${lib#"$root"}
      mkdir -p "$to$(dirname "$at")"
      [ -e "$to$at" ] || cp -L "$lib" "$to$at"
    done
  done
}
# shell NAME: gives it busybox under the names that scripts use.
shell() {
  local to=$out/$1/bin applet
  take "$1" /bin/busybox
  for applet in sh cat cp date echo env false grep head ls mkdir mv printf ps rm sed sleep tail tar test touch true wc wget; do
    ln -sf busybox "$to/$applet"
  done
}

rm -rf "${out:?}"/{postgres,redis,app,shop,mail,debian}
programs=/usr/lib/postgresql/$version
shared=/usr/share/postgresql/$version
take postgres "$programs"/bin/{postgres,initdb,psql,pg_dump,pg_isready} $(cd "$root" && find ".$programs/lib" -maxdepth 1 -name '*.so' ! -name 'llvmjit*' | sed 's/^\.//')
mkdir -p "$out/postgres$shared" "$out/postgres/etc" "$out/postgres/var/lib/postgresql" "$out/postgres/run/postgresql"
cp -rL "$root$shared/." "$out/postgres$shared/"
rm -rf "$out/postgres$shared/man"
ln -s ../run "$out/postgres/var/run"
printf 'root:x:0:0::/:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >"$out/postgres/etc/passwd"
shell postgres
mkdir -p "$out/postgres/usr/local/bin"
CGO_ENABLED=0 go build -o "$out/postgres/usr/local/bin/docker-entrypoint" ./testutil/postgresentry
ln -s "$programs/bin/pg_isready" "$out/postgres/usr/local/bin/pg_isready"
ln -s "$programs/bin/psql" "$out/postgres/usr/local/bin/psql"
ln -s "$programs/bin/pg_dump" "$out/postgres/usr/local/bin/pg_dump"

take redis /usr/bin/redis-check-rdb /usr/bin/redis-cli
mv "$out/redis/usr/bin/redis-check-rdb" "$out/redis/usr/bin/redis-server" # one program under two names
mkdir -p "$out/redis/data"
shell redis

take app "$programs/bin/psql" /usr/bin/redis-cli
mkdir -p "$out/app/usr/local/bin" "$out/app/app"
ln -s "$programs/bin/psql" "$out/app/usr/local/bin/psql"
cp "$bin/probe" "$out/app/usr/local/bin/probe"
shell app
mkdir -p "$out/shop"
CGO_ENABLED=0 go build -o "$out/shop/shop" ./examples/akinon/shop
cp "$out/shop/shop" "$out/shop/test"

mkdir -p "$out/mail"
CGO_ENABLED=0 go build -o "$out/mail/mailpit" ./testutil/mailcatcher
shell mail

# Its /bin/sh is dash, as Debian's is.
mkdir -p "$work/debian" "$out"/debian/{app,tmp,root,proc,sys,dev,usr/{bin,sbin,lib,lib64,local/bin}}
for name in bin sbin lib lib64; do ln -s "usr/$name" "$out/debian/$name"; done
(
  cd "$work/debian"
  download base-files base-passwd bash dash coreutils debianutils findutils grep gzip sed tar mawk \
    libc6 libgcc-s1 libtinfo6 libselinux1 libpcre2-8-0 libacl1 libattr1 libgmp10 libssl3 libcrypt1 zlib1g
  for deb in ./*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$out/debian" --keep-directory-symlink; done
)
for name in passwd group; do cp "$out/debian/usr/share/base-passwd/$name.master" "$out/debian/etc/$name"; done
ln -sf dash "$out/debian/usr/bin/sh"
rm -rf "$out"/debian/usr/share/{doc,man,info,locale,i18n,lintian,common-licenses}
du -sh "$out"/{postgres,redis,app,shop,mail,debian}
