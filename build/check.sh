#!/bin/bash
# Format, lints, licences and advisories, scripts. Everything is checked before the verdict.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

step() {
    echo "== $*"
    "$@" || { failed=1; echo "== failed: $*"; }
}

nginx=${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}
headers=$(ngx-module/build/headers.sh "$nginx") || failed=1
eval "$headers"
export NGINX_SOURCE_DIR NGINX_BUILD_DIR

step cargo fmt --all --check
step cargo clippy --quiet --workspace --all-targets -- -D warnings
# Compiling cargo-deny takes longer than everything else here, so it is used where it is installed.
if command -v cargo-deny >/dev/null; then
    step cargo deny --all-features check
else
    echo "== cargo-deny is not installed: licences and advisories are not checked (cargo install --locked cargo-deny)"
fi
if command -v shellcheck >/dev/null; then
    step shellcheck build/*.sh demo/run .ci/run ngx-module/build/*.sh integration-tests/frameworks/*.sh
else
    echo "== shellcheck is not installed: scripts are not checked (apt-get install shellcheck)"
fi
step ruby -wc daemon/loaders/ruby/rack-loader.rb daemon/loaders/ruby/flying_passenger/*.rb
exit "$failed"
