#!/bin/sh
# Prepares the headers that the module is compiled against: exactly those of the nginx that will load it.
#
#   usage: headers.sh [nginx binary]        (or NGINX=/path/to/sbin/nginx headers.sh)
#
# Prints two assignments for `eval`:
#   NGINX_SOURCE_DIR=...   the source tree (headers)
#   NGINX_BUILD_DIR=...    its configured objs directory
#
# If NGINX_SOURCE_DIR and NGINX_BUILD_DIR are already set, they are only checked. For a binary `<tree>/objs/nginx` the
# tree is used. For Debian's nginx the package nginx-dev of the same version is unpacked, without its dependencies. The
# same version and signature do not guarantee the same layout: never use the upstream tarball for Debian's nginx.
# NGINX_VERSION is the version of a binary that cannot be run here (debian.sh).

set -eu

say() {
    printf 'headers.sh: %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

# The version that a binary prints, such as 1.22.1.
version_of_binary() {
    "$1" -v 2>&1 | sed -n 's|^nginx version: [^/]*/\([0-9.]*\).*|\1|p'
}

version_of_headers() {
    sed -n 's|^#define NGINX_VERSION  *"\([0-9.]*\)".*|\1|p' "$1/src/core/nginx.h"
}

# The module signature of these headers. nginx compares it byte by byte when it loads a module.
signature_of_headers() {
    printf '#include <ngx_config.h>\n#include <ngx_core.h>\nFLYPSNGR NGX_MODULE_SIGNATURE\n' |
        "${CC:-cc}" -E -P -I"$1/src/core" -I"$1/src/event" -I"$1/src/event/modules" -I"$1/src/event/quic" \
            -I"$1/src/os/unix" -I"$2" - |
        sed -n '/^FLYPSNGR/,$p' | tr -cd '0-9,'
}

check() {
    source_dir=$1
    build_dir=$2
    [ -f "$source_dir/src/core/nginx.h" ] || fail "$source_dir holds no nginx sources (src/core/nginx.h is missing)"
    [ -f "$build_dir/ngx_auto_config.h" ] || fail "$build_dir is not configured (ngx_auto_config.h is missing): run ./configure there"

    theirs=${NGINX_VERSION:-$(version_of_binary "$nginx")}
    ours=$(version_of_headers "$source_dir")
    [ "$theirs" = "$ours" ] ||
        fail "$nginx is version $theirs, but the headers in $source_dir are of $ours: a module loads only into its own version"

    signature=$(signature_of_headers "$source_dir" "$build_dir")
    [ -n "$signature" ] || fail "the module signature of the headers in $source_dir cannot be determined"
    grep -aqF "$signature" "$nginx" ||
        fail "$nginx was configured with other options than the headers in $build_dir (signature $signature is not in the binary)"
}

# Debian and its derivatives: unpack nginx-dev, which is 180 kB, and configure it as the package was.
prepare_debian() {
    package=$(dpkg-query -S "$nginx" 2>/dev/null | cut -d: -f1 | head -n 1)
    [ -n "$package" ] ||
        fail "$nginx belongs to no package: set NGINX_SOURCE_DIR and NGINX_BUILD_DIR to the tree it was built from"
    # shellcheck disable=SC2016  # ${Version} is dpkg-query's, not the shell's
    release=$(dpkg-query -W -f '${Version}' "$package")
    tree="$work/nginx-$(printf '%s' "$release" | tr -c 'A-Za-z0-9.+~-' '_')"
    stamp="$tree/.ready"
    if [ -f "$stamp" ]; then
        return
    fi

    rm -rf "$tree"
    mkdir -p "$tree/download"
    say "fetching the headers of nginx $release"
    (cd "$tree/download" && apt-get download "nginx-dev=$release" >apt.log 2>&1) ||
        (apt-get update >/dev/null && cd "$tree/download" && apt-get download "nginx-dev=$release" >apt.log 2>&1) ||
        fail "nginx-dev $release cannot be downloaded (see $tree/download/apt.log); if only a newer one exists, upgrade nginx"
    dpkg -x "$tree"/download/nginx-dev_*.deb "$tree/download"
    # configure writes a Makefile into its own directory, so it runs on a copy.
    cp -R "$tree/download/usr/share/nginx/src/." "$tree/"
    rm -rf "$tree/download"

    say "configuring them as the package was"
    # conf_flags is a bash array.
    (cd "$tree" && bash -c '. ./conf_flags && ./configure "${NGX_CONF_FLAGS[@]}" --builddir="$PWD/objs"' >configure.log 2>&1) ||
        fail "nginx's configure failed: see $tree/configure.log (are gcc, libpcre2-dev, libssl-dev and zlib1g-dev installed?)"
    : >"$stamp"
}

nginx=${1:-${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}}
[ -x "$nginx" ] || fail "$nginx is not there: install nginx, or name it with NGINX=/path/to/sbin/nginx"
nginx=$(readlink -f "$nginx")
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=${NGINX_HEADERS_DIR:-$(dirname "$(dirname "$here")")/target/nginx-headers}

if [ -n "${NGINX_SOURCE_DIR:-}" ] && [ -n "${NGINX_BUILD_DIR:-}" ]; then
    tree=$NGINX_SOURCE_DIR
    objs=$NGINX_BUILD_DIR
elif [ "$(basename "$(dirname "$nginx")")" = objs ] && [ -f "$(dirname "$nginx")/ngx_auto_config.h" ]; then
    objs=$(dirname "$nginx")
    tree=$(dirname "$objs")
else
    command -v dpkg-query >/dev/null ||
        fail "cannot determine the origin of $nginx: set NGINX_SOURCE_DIR and NGINX_BUILD_DIR to the tree it was built from"
    prepare_debian
    objs="$tree/objs"
fi

check "$tree" "$objs"
printf 'NGINX_SOURCE_DIR=%s\nNGINX_BUILD_DIR=%s\n' "$tree" "$objs"
