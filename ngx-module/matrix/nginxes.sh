#!/bin/bash
# Provides one nginx of the matrix below target/matrix/NAME:
#   nginx      the program to run
#   source/    its sources, or headers only, configured in source/objs
#
#   usage: nginxes.sh [NAME]        without a name: lists all, oldest first
#
# Keeps what already exists. Exit status 3: it cannot be obtained on this machine; the last line says why.
set -euo pipefail

names="debian 1.22.1 1.26.3 1.28 1.30"
here=$(cd "$(dirname "$0")" && pwd)
root=${here%/*/*}
name=${1:-}
place=$root/target/matrix/$name
log=$place/obtain.log

say() {
    echo "nginx $name: $*"
}

unavailable() {
    [ ! -s "$log" ] || tail -n 5 "$log"
    echo "$*"
    exit 3
}

broken() {
    [ ! -s "$log" ] || tail -n 30 "$log"
    echo "$*"
    exit 1
}

# The installed nginx, with the headers of its package.
installed() {
    local binary assignments
    binary=$(readlink -f "${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}")
    assignments=$("$root/ngx-module/build/headers.sh" "$binary") || broken "no headers for $binary"
    eval "$assignments"
    [ "$NGINX_BUILD_DIR" = "$NGINX_SOURCE_DIR/objs" ] || broken "$NGINX_BUILD_DIR is not in $NGINX_SOURCE_DIR"
    ln -sfn "$binary" "$place/nginx"
    ln -sfn "$NGINX_SOURCE_DIR" "$place/source"
}

# The upstream release, which a release of Debian keeps beside its patches.
debian_source() {
    local suite=$1
    say "downloading the sources that Debian $suite keeps"
    mkdir -p "$place/download"
    (cd "$place/download" && "$here/suites.sh" get source -qq --download-only --tar-only "nginx/$suite") >>"$log" 2>&1 ||
        unavailable "the source package of Debian $suite cannot be downloaded"
    [ -f "$place/download/nginx_$name.orig.tar.gz" ] || unavailable "Debian $suite no longer has nginx $name"
    mkdir -p "$place/source"
    tar -xzf "$place/download/nginx_$name.orig.tar.gz" --strip-components=1 -C "$place/source"
}

# The sources in the crate nginx-src, which a package without other purpose depends on.
crate_source() {
    local release=$1 asking=$place/download
    say "downloading the crate nginx-src $release"
    mkdir -p "$asking/src"
    touch "$asking/src/lib.rs"
    cat >"$asking/Cargo.toml" <<END
[package]
name = "asks-for-nginx"
version = "0.0.0"
edition = "2024"
[dependencies]
nginx-src = "~$release"
[workspace]
END
    (cd "$asking" && cargo vendor --quiet vendor) >>"$log" 2>&1 || unavailable "the crate nginx-src cannot be downloaded"
    cp -R "$asking/vendor/nginx-src/nginx" "$place/source"
    rm -rf "$asking/vendor"
    # Files at the top of a release are located in the crate as in nginx's repository.
    [ -e "$place/source/configure" ] || ln -s auto/configure "$place/source/configure"
}

build() {
    say "configuring: ${*:-nothing optional}"
    (cd "$place/source" && ./configure --builddir=objs --with-cc-opt=-O1 --error-log-path=stderr --with-threads \
        --with-http_ssl_module --with-http_v2_module --with-http_realip_module --with-http_sub_module "$@") >>"$log" 2>&1 ||
        broken "configure failed"
    say "compiling"
    make -C "$place/source" -f objs/Makefile -j2 binary >>"$log" 2>&1 || broken "make failed"
    ln -sfn source/objs/nginx "$place/nginx"
}

# The binaries of Debian's next release. They run with the C library that they were built for.
debian_binaries() {
    local release=$1 version libraries debs=$place/download files=$place/root loader
    version=$("$here/suites.sh" cache madison nginx 2>>"$log" | awk '$NF == "Packages" { print $3; exit }') ||
        unavailable "the package lists of Debian sid cannot be downloaded"
    case $version in
    "$release".*) ;;
    *) unavailable "Debian sid has nginx ${version:-nowhere}, not $release" ;;
    esac
    libraries=$("$here/suites.sh" cache depends "nginx=$version" | sed -nE 's/^  Depends: ((lib|zlib)[^ ]*)$/\1/p')
    say "downloading $version from Debian sid"
    mkdir -p "$debs" "$files"
    # shellcheck disable=SC2086 # a list of words
    (cd "$debs" && "$here/suites.sh" get download -qq "nginx=$version" "nginx-dev=$version" $libraries) >>"$log" 2>&1 ||
        unavailable "the packages of Debian sid cannot be downloaded"
    for deb in "$debs"/*.deb; do dpkg -x "$deb" "$files"; done
    cp -R "$files/usr/share/nginx/src" "$place/source"
    say "configuring its headers as the package was"
    # shellcheck source=/dev/null # a bash array
    (cd "$place/source" && . ./conf_flags && ./configure "${NGX_CONF_FLAGS[@]}" --builddir=objs) >>"$log" 2>&1 ||
        broken "configure failed"
    loader=$(echo "$files"/usr/lib/*/ld-linux*.so.*)
    cat >"$place/nginx" <<END
#!/bin/sh
exec '$loader' --library-path '${loader%/*}' '$files/usr/sbin/nginx' "\$@"
END
    chmod +x "$place/nginx"
}

obtain() {
    case $name in
    1.22.1)
        debian_source bookworm
        build --with-compat
        ;;
    1.26.3)
        debian_source trixie
        build
        ;;
    1.28)
        crate_source 1.28
        build --with-debug
        ;;
    1.30)
        debian_binaries 1.30
        ;;
    esac
}

case $name in
"")
    echo "$names"
    exit
    ;;
debian)
    mkdir -p "$place"
    installed
    ;;
*)
    case " $names " in
    *" $name "*) ;;
    *)
        echo "the matrix has no nginx $name; it has: $names" >&2
        exit 2
        ;;
    esac
    if [ ! -f "$place/ready" ]; then
        rm -rf "$place"
        mkdir -p "$place"
        obtain
        touch "$place/ready"
    fi
    ;;
esac
"$place/nginx" -v 2>&1 | sed "s|^nginx version:|nginx $name:|"
