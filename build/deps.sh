#!/bin/sh
# Installs the missing Debian packages and prints their names. Arguments select their purpose: build, check, bench, deb, repo.
# integration-tests/frameworks/install.sh installs what the tests need in addition.
set -eu
cd "$(dirname "$0")/.."

# Packages for building and for the demo. bindgen reads nginx's headers with libclang; they include those of the other
# -dev packages.
build="gcc make libc6-dev libclang-dev libpcre2-dev libssl-dev zlib1g-dev nginx-light curl procps python3 ruby ruby-rack"
check="shellcheck git python3-venv"
deb="binutils"
repo="apt-utils gnupg"
bench="puma gunicorn uwsgi-core uwsgi-plugin-python3 python3-venv wrk strace linux-perf valgrind"

packages_for() {
    case $1 in
    build) echo "$build" ;;
    check) echo "$check" ;;
    bench) echo "$bench" ;;
    deb) echo "$deb" ;;
    repo) echo "$repo" ;;
    *) echo "usage: deps.sh [build] [check] [bench] [deb] [repo]" >&2 && return 2 ;;
    esac
}

# Any version of libclang, nginx and node is sufficient, packaged or not.
is_there() {
    case $1 in
    # Not libclang-cpp.so, which is a different library.
    libclang-dev) [ -n "$(find /usr/lib/llvm-*/lib -maxdepth 1 -name "libclang.so*" -o -name "libclang-[0-9]*.so*" 2>/dev/null)" ] && return ;;
    nginx-light) [ -x "${NGINX:-/usr/sbin/nginx}" ] && return ;;
    gcc | make | git) command -v "$1" >/dev/null && return ;;
    esac
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$'
}

install_missing() {
    missing=
    for package in "$@"; do is_there "$package" || missing="$missing $package"; done
    command -v node >/dev/null || missing="$missing nodejs"
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "packages are missing; run: sudo apt-get install --no-install-recommends$missing" >&2
        return 1
    fi
    echo "installing:$missing"
    apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}

check_cargo() {
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(cargo --version 2>/dev/null | cut -d ' ' -f 2)
    if [ "$(printf '%s\n' "$wanted" "${found:-0}" | sort -V | head -n 1)" != "$wanted" ]; then
        echo "a Rust toolchain, version $wanted or newer, is needed; $(if [ -n "$found" ]; then echo "this is $found"; else echo "there is none"; fi):" >&2
        echo "see https://rustup.rs" >&2
        return 1
    fi
}

[ $# -gt 0 ] || set -- build
packages=
for purpose in "$@"; do packages="$packages $(packages_for "$purpose")"; done
# shellcheck disable=SC2086 # a list of words
install_missing $packages
# Installs mypy and ruff into target/tools.
case " $* " in *" check "*) build/python.sh install ;; esac
check_cargo
