#!/bin/bash
# Prepares the headers of the nginx of a Debian release that need not be the installed one.
#
#   usage: debian.sh SUITE          bookworm or trixie
#
# Prints assignments for `eval`:
#   NGINX_SOURCE_DIR=...  NGINX_BUILD_DIR=...   as headers.sh does
#   NGINX_ABI=...                               Debian's name of its ABI, on which the module's package depends
#   DEBIAN_RELEASE=...                          the number of the release
#
# The packages nginx and nginx-dev are unpacked below target/suites, not installed. nginx itself is not run, because
# it may need a newer C library: its version and signature are read from its file.
set -euo pipefail

suite=${1:?usage: debian.sh SUITE}
here=$(cd "$(dirname "$0")" && pwd)
root=${here%/*/*}
apt=$root/ngx-module/matrix/suites.sh

case $suite in
bookworm) number=12 ;;
trixie) number=13 ;;
*)
    echo "debian.sh: there is no build for \"$suite\": the releases are bookworm and trixie" >&2
    exit 2
    ;;
esac

fail() {
    [ ! -s "$place/log" ] || tail -n 10 "$place/log" >&2
    echo "debian.sh: $*" >&2
    exit 1
}

# The newest version in this release, security updates included. sid is in the same lists.
newest() {
    "$apt" cache madison nginx | awk -F '|' -v suite="$suite" \
        '$3 ~ (" " suite "(-security)?/") && $3 ~ /Packages/ { gsub(/ /, "", $2); print $2; exit }'
}

unpack() {
    rm -rf "$place"
    mkdir -p "$place/download"
    echo "debian.sh: downloading nginx and nginx-dev $version of $suite" >&2
    (cd "$place/download" && "$apt" get download -qq "nginx=$version" "nginx-dev=$version") >"$place/log" 2>&1 ||
        fail "nginx $version of $suite cannot be downloaded"
    for deb in "$place"/download/*.deb; do dpkg -x "$deb" "$place/files"; done
    dpkg-deb -f "$place"/download/nginx_*.deb Provides | grep -o 'nginx-abi-[^, ]*' >"$place/abi" ||
        fail "nginx $version of $suite names no ABI"
    cp -R "$place/files/usr/share/nginx/src" "$place/source"
    # shellcheck source=/dev/null # a bash array
    (cd "$place/source" && . ./conf_flags && ./configure "${NGX_CONF_FLAGS[@]}" --builddir=objs) >>"$place/log" 2>&1 ||
        fail "nginx's configure failed (are gcc, libpcre2-dev, libssl-dev and zlib1g-dev installed?)"
    rm -r "$place/download"
    : >"$place/ready"
}

place=
version=$(newest) || true
[ -n "$version" ] || { echo "debian.sh: the package lists name no nginx of $suite" >&2; exit 1; }
place=$root/target/suites/$suite/nginx-$version
[ -f "$place/ready" ] || unpack
NGINX_SOURCE_DIR=$place/source NGINX_BUILD_DIR=$place/source/objs NGINX_VERSION=${version%%-*} \
    "$here/headers.sh" "$place/files/usr/sbin/nginx"
printf 'NGINX_ABI=%s\nDEBIAN_RELEASE=%s\n' "$(cat "$place/abi")" "$number"
