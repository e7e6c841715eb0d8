#!/bin/bash
# Runs every test and prints the sum of their totals. With an argument: only integration tests whose names hold it.
set -u
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

step() {
    echo "== $*"
    "$@" 2>&1 | tee -a "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || { failed=1; echo "== failed: $*"; }
}

integration() {
    step integration-tests/frameworks/install.sh
    step cargo test --release -p flying-passenger-integration-tests -- --test-threads="${TEST_THREADS:-4}" "$@"
}

# The module against a daemon made of Python, which can misbehave as the real one does not.
module() {
    local headers
    headers=$(ngx-module/build/headers.sh "${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}") || { failed=1; return; }
    eval "$headers"
    export NGINX_SOURCE_DIR NGINX_BUILD_DIR
    step cargo build -p flying-passenger-ngx-module --features panic-probe
    step python3 ngx-module/tests/smoke.py target/debug/libngx_http_passenger_module.so
    # shellcheck disable=SC2012 # cargo's own names; the newest build is the one just made
    step python3 ngx-module/tests/bitfields.py "$(ls -t target/debug/build/flying-passenger-ngx-module-*/out/bindings.rs | head -n 1)"
    # The same in the newest nginx that can be had; `make test-matrix` tests those between.
    step ngx-module/matrix/run.py newest
}

if [ $# -gt 0 ]; then
    integration "$@" --include-ignored
else
    step cargo test --release -p flying-passenger-protocol -p flying-passenger -p flying-passenger-generate \
        -p flying-passenger-module-core -p flying-passenger-fuzz
    if [ -f daemon/loaders/conformance/run.py ]; then step python3 daemon/loaders/conformance/run.py; fi
    module
    integration
fi

# cargo's runner: "test result: ok. 3 passed; 0 failed; 1 ignored; …". Others: "3 passed, 0 failed, 0 skipped".
sum() {
    grep -E '^(test result:|[0-9]+ passed, )' "$log" | grep -oE "[0-9]+ $1" | awk '{ n += $1 } END { print n + 0 }'
}
passed=$(sum passed) failures=$(sum failed) skipped=$(( $(sum ignored) + $(sum skipped) ))
[ "$failures" = 0 ] || failed=1
[ "$passed" -gt 0 ] || failed=1
echo "$passed passed, $failures failed, $skipped skipped"
exit "$failed"
