#!/bin/sh
# Creates Debian packages from the output of `make build`, for the installed nginx, in the given directory.
set -eu
cd "$(dirname "$0")/../.."

out=${1:?usage: build.sh DIRECTORY}
nginx=${NGINX:-/usr/sbin/nginx}
release=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
architecture=$(dpkg --print-architecture)
maintainer="flying-passenger <packages@flying-passenger.invalid>"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

# Prints the newest symbol version of the C library that the programs require.
libc() {
    objdump -T "$@" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | sed 's/GLIBC_/libc6 (>= /; s/$/)/'
}

# Prints Debian's name for nginx's ABI; nothing if nginx is not a Debian package.
abi() {
    for package in $(dpkg-query -S "$nginx" 2>/dev/null | cut -d: -f1); do
        # shellcheck disable=SC2016 # dpkg's variable
        dpkg-query -W -f '${Provides}' "$package" | grep -o 'nginx-abi-[^, ]*' && return
    done
}

# control NAME DEPENDS < DESCRIPTION: writes the control files of a package.
control() {
    mkdir -p "$work/$1/DEBIAN"
    {
        printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$1" "$release" "$architecture"
        printf 'Maintainer: %s\nDepends: %s\nSection: httpd\nPriority: optional\n' "$maintainer" "$2"
        printf 'Homepage: https://github.com/flying-passenger/flying-passenger\n'
        cat
    } > "$work/$1/DEBIAN/control"
    for script in postinst prerm postrm; do
        [ ! -e "packaging/deb/$1.$script" ] || install -m 755 "packaging/deb/$1.$script" "$work/$1/DEBIAN/$script"
    done
    doc=$work/$1/usr/share/doc/$1
    mkdir -p "$doc"
    cat LICENSE-MIT > "$doc/copyright"
    gzip -9n < CHANGELOG.md > "$doc/changelog.gz"
}

package() {
    (cd "$work/$1" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | xargs -0 md5sum > DEBIAN/md5sums)
    dpkg-deb --root-owner-group --build "$work/$1" "$out/${1}_${release}_${architecture}.deb"
}

mkdir -p "$out"
make --no-print-directory -s install DESTDIR="$work/all" PREFIX=/usr

mkdir -p "$work/libnginx-mod-http-passenger/usr/lib/nginx"
mv "$work/all/usr/lib/nginx/modules" "$work/libnginx-mod-http-passenger/usr/lib/nginx/modules"
rmdir "$work/all/usr/lib/nginx"
mv "$work/all" "$work/flying-passenger"
gzip -9n "$work"/flying-passenger/usr/share/man/man8/*
strip --strip-unneeded "$work"/flying-passenger/usr/*bin/* "$work"/libnginx-mod-http-passenger/usr/lib/nginx/modules/*

control flying-passenger "$(libc "$work"/flying-passenger/usr/*bin/*), libgcc-s1, adduser, init-system-helpers (>= 1.54)" <<'END'
Recommends: libnginx-mod-http-passenger
Description: application server behind nginx that outlives nginx's restarts
 The daemon owns the processes of Ruby, Python, Node.js and other applications.
 They keep running when nginx is reloaded, restarted, upgraded or killed.
END
mkdir -p "$work/flying-passenger/etc/flying-passenger"
install -m 644 packaging/flying-passenger.toml "$work/flying-passenger/etc/flying-passenger/"
install -d -m 700 "$work/flying-passenger/etc/flying-passenger/env"
install -d -m 755 "$work/flying-passenger/etc/logrotate.d" "$work/flying-passenger/var/log/flying-passenger"
install -m 644 packaging/deb/flying-passenger.logrotate "$work/flying-passenger/etc/logrotate.d/flying-passenger"
printf '/etc/%s\n' flying-passenger/flying-passenger.toml logrotate.d/flying-passenger \
    > "$work/flying-passenger/DEBIAN/conffiles"
package flying-passenger

module=libnginx-mod-http-passenger
nginx_abi=$(abi)
[ -n "$nginx_abi" ] || { echo "build.sh: $nginx is not from a Debian package: cannot package its module" >&2; exit 1; }
control "$module" "$(libc "$work/$module/usr/lib/nginx/modules/"*), libgcc-s1, $nginx_abi" <<'END'
Recommends: flying-passenger
Description: nginx module for the flying-passenger application server
 It forwards requests to the daemon of the package flying-passenger, as
 configured by passenger_fly_with and other directives of nginx.
END
mkdir -p "$work/$module/usr/share/nginx/modules-available"
echo "load_module modules/ngx_http_passenger_module.so;" > "$work/$module/usr/share/nginx/modules-available/mod-http-passenger.conf"
package "$module"
