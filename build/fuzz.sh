#!/bin/bash
# Searches for bytes that break a promise of the decoders: libFuzzer, on each target for FUZZ_SECONDS (60).
set -eu
cd "$(dirname "$0")/.."

cargo_fuzz=$(command -v cargo-fuzz || echo target/tools/bin/cargo-fuzz)
if [ ! -x "$cargo_fuzz" ]; then
    echo "installing cargo-fuzz into target/tools"
    cargo install --quiet --locked --root target/tools --version 0.13.2 cargo-fuzz
fi

# libFuzzer wants flags that the stable compiler takes only when it is told to take anything.
export RUSTC_BOOTSTRAP=1
failed=0
for target in daemon_answer nginx_frames; do
    corpus=target/fuzz/$target
    mkdir -p "$corpus"
    # Frames as they are, and as an answer that comes in pieces of some length.
    cp protocol/testdata/*.bin "$corpus"
    for message in protocol/testdata/*.bin; do
        { printf '\007' && cat "$message"; } >"$corpus/cut-$(basename "$message")"
    done
    echo "== fuzzing $target for ${FUZZ_SECONDS:-60} s"
    "$cargo_fuzz" run "$target" --features libfuzzer --target-dir target/fuzz/build "$corpus" -- \
        -max_total_time="${FUZZ_SECONDS:-60}" -max_len=8192 -print_final_stats=1 -artifact_prefix="$corpus-" 2>&1 |
        grep -E '^(stat::|==|Done|SUMMARY|error|.*panicked|.*ERROR)' || failed=1
    [ "${PIPESTATUS[0]}" = 0 ] || failed=1
done
exit "$failed"
