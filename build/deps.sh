#!/bin/sh
# Installs the Debian packages that building, testing and the demo need, if any is missing, and says which.
set -eu

# libclang: bindgen reads nginx's headers with it. The other -dev packages: nginx's headers include theirs.
packages="gcc make libc6-dev libclang-dev libpcre2-dev libssl-dev zlib1g-dev nginx-light curl procps python3 ruby ruby-rack bsdextrautils"

missing=
for package in $packages; do
    case $package in
    # Any version of it, and any nginx, will do.
    libclang-dev) ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 && continue ;;
    nginx-light) command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] && continue ;;
    esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing="$missing $package"
done
command -v node >/dev/null || missing="$missing nodejs"

if [ -n "$missing" ]; then
    echo "installing:$missing"
    if [ "$(id -u)" = 0 ]; then
        apt-get update -q
        # shellcheck disable=SC2086 # a list of words
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
    else
        echo "not root; run: sudo apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
fi

if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install a Rust toolchain, version 1.88 or newer" >&2
    exit 1
fi
