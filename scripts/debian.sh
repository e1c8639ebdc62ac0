# shellcheck shell=bash
# Sourced by what unpacks Debian's packages without installing them. Package lists that are missing or out of date are
# fetched first.

# depends ARGUMENT...: what apt-cache says.
depends() {
  apt-cache depends "$@" 2>/dev/null || { apt-get update -qq >&2 && apt-cache depends "$@"; }
}

# download PACKAGE...: the packages' files, into the working directory.
download() {
  apt-get download -qq "$@" 2>/dev/null || { apt-get update -qq >&2 && apt-get download -qq "$@"; }
}
