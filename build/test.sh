#!/bin/bash
# Runs every test and prints the sum of their totals. With an argument: runs the tests of all runners whose names
# contain it, and prints how many each runner ran; if no test matches, it fails.
set -u
cd "$(dirname "$0")/.." || exit 1

wanted=${1-}
log=$(mktemp)
rows=$(mktemp)
trap 'rm -f "$log" "$rows"' EXIT
failed=0

step() {
    echo "== $*"
    "$@" 2>&1 | tee -a "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || { failed=1; echo "== failed: $*"; }
}

# cargo's runner: "test result: ok. 3 passed; 0 failed; 1 ignored; …". Others: "3 passed, 0 failed, 0 skipped".
sum() {
    grep -E '^(test result:|[0-9]+ passed, )' "$log" | grep -oE "[0-9]+ $1" | awk '{ n += $1 } END { print n + 0 }'
}

count() {
    echo "$(sum passed) $(sum failed) $(( $(sum ignored) + $(sum skipped) ))"
}

# Prints a row of the table: the totals since the previous one.
before=(0 0 0)
row() {
    local after
    read -ra after < <(count)
    printf '%-12s %d passed, %d failed, %d skipped\n' "$1" "$((after[0] - before[0]))" "$((after[1] - before[1]))" \
        "$((after[2] - before[2]))" >>"$rows"
    before=("${after[@]}")
}

# The supervisor's tests are a separate runner.
rust() {
    step cargo test --release -p flying-passenger-protocol -p flying-passenger-generate -p flying-passenger-module-core \
        -p flying-passenger-detection -- ${wanted:+"$wanted"}
    step cargo test --release -p flying-passenger-common -p flying-passenger-supervisor -p flying-passenger-router \
        -p flying-passenger-tools --lib -- ${wanted:+"$wanted"}
}

supervisor() {
    step cargo test --release -p flying-passenger-supervisor --test supervisor -- ${wanted:+"$wanted"}
}

# A separate run, because it needs the daemon with the feature `fuzzing`.
fuzz() {
    step cargo test --release -p flying-passenger-fuzz -- ${wanted:+"$wanted"}
}

loaders() {
    step python3 daemon/loaders/conformance/run.py ${wanted:+"$wanted"}
}

# The module with a daemon in Python, which can misbehave in ways the real one does not.
module() {
    # The module is built only if a test matches. The names are printed without "test_".
    local name=${wanted#test_}
    if [ -n "$name" ] && ! grep -qE "^def test_\w*$name" ngx-module/tests/cases_*.py; then return; fi
    local headers
    headers=$(ngx-module/build/headers.sh "${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}") || { failed=1; return; }
    eval "$headers"
    export NGINX_SOURCE_DIR NGINX_BUILD_DIR
    step cargo build -p flying-passenger-ngx-module --features panic-probe
    if [ -n "$wanted" ]; then
        step python3 ngx-module/tests/smoke.py target/debug/libngx_http_passenger_module.so \
            "${NGINX:-/usr/sbin/nginx}" "$name"
        return
    fi
    step python3 ngx-module/tests/smoke.py target/debug/libngx_http_passenger_module.so
    # shellcheck disable=SC2012 # cargo's own names; the newest build is the one just made
    step python3 ngx-module/tests/bitfields.py "$(ls -t target/debug/build/flying-passenger-ngx-module-*/out/bindings.rs | head -n 1)"
    # The same with the newest nginx available; `make test-matrix` tests the versions between.
    step ngx-module/matrix/run.py newest
}

integration() {
    local options=(--test-threads="${TEST_THREADS:-4}")
    if [ -n "$wanted" ]; then
        options+=("$wanted" --include-ignored)
        # The frameworks are installed only if a test matches.
        cargo test --quiet --release -p flying-passenger-integration-tests -- "$wanted" --list 2>&1 | grep -q ': test$' || return
    fi
    step integration-tests/frameworks/install.sh
    step cargo test --release -p flying-passenger-integration-tests -- "${options[@]}"
}

rust
row rust
supervisor
row supervisor
fuzz
row fuzz
loaders
row loaders
module
row module
integration
row integration
[ -n "$wanted" ] || step build/test_by_name.sh

read -r passed failures skipped < <(count)
[ "$failures" = 0 ] || failed=1
cat "$rows"
if [ $((passed + failures + skipped)) = 0 ]; then
    echo "no test has a name that contains \"$wanted\": T is a part of a name as the runners print it, such as" \
        "T=rejects_excess_size or T=pool::group (Rust), T=test_bodies (loaders), T=ssi (module)"
fi
[ "$passed" -gt 0 ] || failed=1
echo "$passed passed, $failures failed, $skipped skipped"
exit "$failed"
