#!/bin/bash
# Runs the tests of `protocol` in Miri, which finds undefined behaviour of Rust code. Prints "skipped: ..." and succeeds
# where rustup cannot provide the toolchain.
set -u
cd "$(dirname "$0")/.." || exit 1

# Pinned, so that each run gives the same result.
toolchain=nightly-2026-03-20

skip() {
    echo "== skipped: $1; no test ran in Miri"
    exit 0
}

command -v rustup >/dev/null || skip "no rustup"
if ! cargo "+$toolchain" miri --version >/dev/null 2>&1 || ! rustup component list --toolchain "$toolchain" |
    grep -q '^rust-src.*(installed)'; then
    echo "installing Rust $toolchain with Miri"
    timeout 300 rustup toolchain install "$toolchain" --profile minimal --component miri,rust-src --no-self-update \
        >/dev/null 2>&1 || skip "rustup cannot install Rust $toolchain with Miri"
fi

# The golden tests read files. A case of the property tests takes about a second in all.
export MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES="${PROPTEST_CASES:-4}"
# Seconds of CPU for each process.
ulimit -t 300
if cargo "+$toolchain" miri test -p flying-passenger-protocol --locked --target-dir target/miri; then
    echo "the tests of the protocol pass in Miri"
else
    echo "== failed: a test of the protocol fails in Miri"
    exit 1
fi
