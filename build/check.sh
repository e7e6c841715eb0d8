#!/bin/bash
# Checks format, lints, licences, advisories and scripts. Runs all checks before it reports the result.
set -u
cd "$(dirname "$0")/.." || exit 1
PATH=$PATH:$PWD/target/tools/bin
failed=0

step() {
    echo "== $*"
    "$@" || { failed=1; echo "== failed: $*"; }
}

deny() {
    # `make check` skips it where it is not installed: compiling it takes three minutes. .ci/run installs it.
    if ! command -v cargo-deny >/dev/null; then
        echo "== skipped: no cargo-deny, licences and advisories are not checked (cargo install --locked cargo-deny)"
        return
    fi
    step cargo deny --log-level error check --hide-inclusion-graph bans licenses sources
    if cargo deny --log-level off fetch db >/dev/null 2>&1; then
        step cargo deny --log-level error check --disable-fetch advisories
    else
        echo "== skipped: the database of advisories cannot be reached; they are not checked"
    fi
}

# Scripts are recognised by their first line.
scripts() {
    git ls-files --cached --others --exclude-standard | while read -r file; do
        if [ -f "$file" ] && head -n 1 "$file" | grep -qE "$1"; then echo "$file"; fi
    done
}

# ruby checks one script at a time, and its exit status does not depend on warnings.
# shellcheck disable=SC2317 # called by step
parse_ruby() {
    local file output bad=0
    for file; do
        output=$(ruby -wc "$file" 2>&1)
        [ "$output" = "Syntax OK" ] || { echo "$file: $output"; bad=1; }
    done
    return "$bad"
}

nginx=${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}
headers=$(ngx-module/build/headers.sh "$nginx") || failed=1
eval "$headers"
export NGINX_SOURCE_DIR NGINX_BUILD_DIR

step cargo fmt --all --check
step cargo clippy --quiet --workspace --all-targets -- -D warnings
step cargo fmt --check --manifest-path integration-tests/bench/relay/Cargo.toml
deny
mapfile -t shell < <(scripts '^#!.*sh$')
step shellcheck "${shell[@]}"
mapfile -t python < <(git ls-files '*.py')
step python3 -X pycache_prefix=target/tmp/pycache -m py_compile "${python[@]}"
step build/python.sh
step python3 integration-tests/bench/test_measure.py
step build/lines.py --check
step build/native.sh
mapfile -t ruby < <(git ls-files 'daemon/loaders/ruby/*.rb')
step parse_ruby "${ruby[@]}"
if [ "$failed" = 0 ]; then echo "all checks passed"; fi
exit "$failed"
