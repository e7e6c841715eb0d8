#!/bin/sh
# Creates Debian packages from the output of `make build` in the given directory: the daemon's, and the module's for the
# installed nginx or, where releases of Debian are named, for their nginx.
set -eu
cd "$(dirname "$0")/../.."

out=${1:?usage: build.sh DIRECTORY [SUITE...]}
shift
nginx=${NGINX:-/usr/sbin/nginx}
release=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# shellcheck disable=SC2034 # for package.sh
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
# shellcheck source=/dev/null
. packaging/deb/package.sh

# Prints Debian's name for nginx's ABI; nothing if nginx is not a Debian package.
abi() {
    for package in $(dpkg-query -S "$nginx" 2>/dev/null | cut -d: -f1); do
        # shellcheck disable=SC2016 # dpkg's variable
        dpkg-query -W -f '${Provides}' "$package" | grep -o 'nginx-abi-[^, ]*' && return
    done
}

# Prints the suffix of the module's version, such as +deb12: each release of a distribution has its own module, and the
# one of a newer release is the newer version.
installed_distribution() {
    # shellcheck source=/dev/null
    (. /etc/os-release && echo "+$([ "$ID" = debian ] && echo deb || echo "$ID")$VERSION_ID")
}

daemon() {
    package=flying-passenger
    mv "$work/all" "$work/$package"
    gzip -9n "$work/$package"/usr/share/man/man8/*
    strip --strip-unneeded "$work/$package"/usr/*bin/*
    examples=$work/$package/usr/share/doc/$package/examples
    mkdir -p "$examples/nginx-conf" "$work/$package/etc/$package"
    install -m 644 nginx-conf/*.conf "$examples/nginx-conf/"
    install -m 644 packaging/fallback.conf "$examples/"
    install -m 644 docs/*.md "$work/$package/usr/share/doc/$package/"
    install -m 644 packaging/flying-passenger.toml "$work/$package/etc/$package/"
    install -d -m 700 "$work/$package/etc/$package/env"
    install -d -m 755 "$work/$package/etc/logrotate.d" "$work/$package/var/log/$package"
    install -m 644 packaging/deb/flying-passenger.logrotate "$work/$package/etc/logrotate.d/$package"
    # Both have the same tools, at the same paths.
    control "$package" "$release" "$(libc "$work/$package"/usr/*bin/*), libgcc-s1, adduser, init-system-helpers (>= 1.54)" <<'EOF'
Recommends: libnginx-mod-http-flying-passenger
Suggests: gcc, ruby-dev, python3-dev
Conflicts: passenger, passenger-enterprise
Replaces: passenger, passenger-enterprise
Description: application server behind nginx that outlives nginx's restarts
 The daemon owns the processes of Ruby, Python, Node.js and other applications.
 They keep running when nginx is reloaded, restarted, upgraded or killed.
EOF
    package "$package" "$release"
}

# module FILE ABI SUFFIX: the package of a module.
module() {
    package=libnginx-mod-http-flying-passenger
    rm -rf "${work:?}/$package"
    mkdir -p "$work/$package/usr/lib/nginx/modules" "$work/$package/usr/share/nginx/modules-available"
    install -m 644 "$1" "$work/$package/usr/lib/nginx/modules/ngx_http_passenger_module.so"
    strip --strip-unneeded "$work/$package/usr/lib/nginx/modules/ngx_http_passenger_module.so"
    echo "load_module modules/ngx_http_passenger_module.so;" \
        > "$work/$package/usr/share/nginx/modules-available/mod-http-flying-passenger.conf"
    install -D -m 755 packaging/deb/nginx-guard "$work/$package/usr/share/$package/nginx-guard"
    install -D -m 644 packaging/deb/apt.conf "$work/$package/etc/apt/apt.conf.d/60$package"
    # Phusion's package has the same file and directives, and the epoch 1: under its name apt would upgrade to it.
    control "$package" "$release$3" "$(libc "$work/$package/usr/lib/nginx/modules/"*), libgcc-s1, $2" <<'EOF'
Recommends: flying-passenger
Conflicts: libnginx-mod-http-passenger, libnginx-mod-http-passenger-enterprise
Replaces: libnginx-mod-http-passenger, libnginx-mod-http-passenger-enterprise
Provides: libnginx-mod-http-passenger
Description: nginx module for the flying-passenger application server
 It forwards requests to the daemon of the package flying-passenger, as
 configured by passenger_fly_with and other directives of nginx.
EOF
    package "$package" "$release$3"
}

# suite_module SUITE: compiles the module for the nginx of a release of Debian, and packages it.
suite_module() {
    assignments=$(ngx-module/build/debian.sh "$1")
    eval "$assignments"
    export NGINX_SOURCE_DIR NGINX_BUILD_DIR
    ${CARGO:-cargo} build --release -p flying-passenger-ngx-module --target-dir "target/suites/$1"
    # shellcheck disable=SC2153 # debian.sh assigns it
    module "target/suites/$1/release/libngx_http_passenger_module.so" "$NGINX_ABI" "+deb$DEBIAN_RELEASE"
}

mkdir -p "$out"
make --no-print-directory -s install DESTDIR="$work/all" PREFIX=/usr
mv "$work/all/usr/lib/nginx/modules/ngx_http_passenger_module.so" "$work/module.so"
rm -r "$work/all/usr/lib/nginx"
daemon
if [ $# = 0 ]; then
    nginx_abi=$(abi)
    [ -n "$nginx_abi" ] || { echo "build.sh: $nginx is not from a Debian package: cannot package its module" >&2; exit 1; }
    module "$work/module.so" "$nginx_abi" "$(installed_distribution)"
fi
for suite in "$@"; do suite_module "$suite"; done
