#!/bin/bash
# Runs the module's tests with AddressSanitizer: module and nginx are built with it, and nginx allocates each piece of a
# pool with malloc. Before that it tests that a read after a piece and memory leaked by a process are detected.
# leaks.supp lists what nginx itself leaks.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=${here%/*/*}
place=$root/target/matrix/sanitizer
target=x86_64-unknown-linux-gnu
module=$place/module/$target/debug/libngx_http_passenger_module.so
mkdir -p "$place"

say() {
    echo "sanitizer: $*"
}

logged() {
    "$@" >>"$place/build.log" 2>&1 || { tail -n 30 "$place/build.log"; say "failed: $*"; exit 1; }
}

build_nginx() {
    "$here/nginxes.sh" 1.28
    [ ! -f "$place/ready" ] || return 0
    say "compiling nginx"
    rm -rf "$place/source"
    cp -R "$root/target/matrix/1.28/source" "$place/source"
    cd "$place/source"
    rm -rf objs
    logged ./configure --builddir=objs --error-log-path=stderr --with-debug --with-threads --with-http_ssl_module \
        --with-http_v2_module --with-http_realip_module --with-http_sub_module \
        --with-cc-opt='-O1 -g -fsanitize=address -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1' --with-ld-opt=-fsanitize=address
    logged make -f objs/Makefile -j2 binary
    cd "$root"
    touch "$place/ready"
}

# The stable compiler has the sanitizer, but accepts its flag only with RUSTC_BOOTSTRAP. The runtime is gcc's, which
# nginx is linked with.
build_module() {
    say "compiling the module"
    export NGINX_SOURCE_DIR=$place/source NGINX_BUILD_DIR=$place/source/objs CARGO_TARGET_DIR=$place/module
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Zexternal-clangrt -Cforce-frame-pointers=yes" \
        logged cargo build -j2 --target "$target" -p flying-passenger-ngx-module --features panic-probe
}

# Reports are in files whose names start with this.
export ASAN_OPTIONS="detect_odr_violation=0:detect_leaks=1:log_path=$place/report"
export LSAN_OPTIONS="print_suppressions=0"

run() {
    rm -f "$place"/report.*
    python3 "$root/ngx-module/tests/smoke.py" "$module" "$place/source/objs/nginx" "$@"
}

has_report() {
    compgen -G "$place/report.*" >/dev/null
}

build_nginx
build_module

say "a read beyond a pool's piece"
run overrun >"$place/probe.log" 2>&1 || true
if ! has_report || ! grep -q 'heap-buffer-overflow' "$place"/report.*; then
    cat "$place/probe.log"
    say "it was not noticed, so that nothing would be"
    echo "0 passed, 1 failed"
    exit 1
fi

say "memory that a process leaves behind, as nginx -t does"
rm -f "$place"/report.*
echo 'events { }' >"$place/probe.conf"
"$place/source/objs/nginx" -t -c "$place/probe.conf" -g "pid $place/probe.pid;" >"$place/probe.log" 2>&1 || true
if ! has_report || ! grep -q 'LeakSanitizer: detected memory leaks' "$place"/report.*; then
    cat "$place/probe.log"
    say "it was not noticed, so that nothing would be"
    echo "0 passed, 1 failed"
    exit 1
fi

say "the module's tests"
LSAN_OPTIONS=$LSAN_OPTIONS:suppressions=$here/leaks.supp
status=0
run || status=1
if has_report; then
    cat "$place"/report.*
    say "something was noticed"
    echo "1 passed, 1 failed"
    exit 1
fi
echo "1 passed, 0 failed"
exit "$status"
