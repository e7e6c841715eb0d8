#!/bin/bash
# Compiles every crate with the oldest Rust that Cargo.toml declares (rust-version). Prints "skipped: ..." and succeeds
# where rustup cannot provide that toolchain.
set -u
cd "$(dirname "$0")/.." || exit 1

version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

skip() {
    echo "== skipped: $1; nothing was compiled with Rust $version"
    exit 0
}

command -v rustup >/dev/null || skip "no rustup"
if ! rustup run "$version" rustc --version >/dev/null 2>&1; then
    echo "installing Rust $version"
    timeout 300 rustup toolchain install "$version" --profile minimal --no-self-update >/dev/null 2>&1 ||
        skip "rustup cannot install Rust $version"
fi

headers=$(ngx-module/build/headers.sh "${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}") || exit 1
eval "$headers"
export NGINX_SOURCE_DIR NGINX_BUILD_DIR
# A separate target directory, because two compilers in one directory replace each other's results.
if cargo "+$version" check --quiet --workspace --all-targets --locked --target-dir target/msrv; then
    echo "every crate compiles with Rust $version"
else
    echo "== failed: a crate does not compile with Rust $version, which Cargo.toml declares"
    exit 1
fi
