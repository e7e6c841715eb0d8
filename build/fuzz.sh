#!/bin/bash
# Searches for inputs that violate a property of the decoders: libFuzzer, on each target for FUZZ_SECONDS (60).
# Arguments select targets; the default is all. Findings are saved below target/fuzz.
set -eu
cd "$(dirname "$0")/.."

cargo_fuzz=$(command -v cargo-fuzz || echo target/tools/bin/cargo-fuzz)
if [ ! -x "$cargo_fuzz" ]; then
    echo "installing cargo-fuzz into target/tools"
    cargo install --quiet --locked --root target/tools --version 0.13.2 cargo-fuzz
fi

# Each target is a file in fuzz_targets and starts from the inputs below fuzz/corpus.
if [ $# = 0 ]; then
    mapfile -t all < <(basename -s .rs -a fuzz/fuzz_targets/*.rs)
    set -- "${all[@]}"
fi

# The messages of the protocol, unchanged and as a response that arrives in pieces of some length.
messages() {
    cp protocol/testdata/*.bin "$1"
    for message in protocol/testdata/*.bin; do
        { printf '\007' && cat "$message"; } >"$1/cut-$(basename "$message")"
    done
}

# libFuzzer needs flags that the stable compiler accepts only with this variable.
export RUSTC_BOOTSTRAP=1
# Link-time optimisation would take a minute for each target.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=1
failed=0
for target in "$@"; do
    corpus=target/fuzz/$target
    mkdir -p "$corpus"
    case $target in
    daemon_answer | nginx_frames) messages "$corpus" ;;
    *) cp fuzz/corpus/"$target"/* "$corpus" ;;
    esac
    echo "== fuzzing $target for ${FUZZ_SECONDS:-60} s"
    "$cargo_fuzz" run "$target" --features libfuzzer --target-dir target/fuzz/build "$corpus" -- \
        -max_total_time="${FUZZ_SECONDS:-60}" -max_len=8192 -print_final_stats=1 -artifact_prefix="$corpus-" 2>&1 |
        grep -E '^(stat::|==|#[0-9]+[[:space:]]+DONE|SUMMARY|error|.*panicked|.*ERROR)' || failed=1
    [ "${PIPESTATUS[0]}" = 0 ] || failed=1
done
exit "$failed"
