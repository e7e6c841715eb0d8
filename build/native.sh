#!/bin/sh
# Compiles the native support of the loaders with all warnings as errors, for the interpreters of this machine. Skips
# those without headers.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

# compile LANGUAGE INTERPRETER ARGUMENT...: the words of the interpreter's own settings, headers without their warnings.
compile() {
    language=$1
    shift
    directory=daemon/loaders/$language/native
    ls "$directory"/*.c >/dev/null 2>&1 || return 0
    settings=$("$@") || { echo "skipped: no native support for $1"; return 0; }
    refused=$(echo "$settings" | sed -n 's/^refused=//p')
    if [ -n "$refused" ]; then
        echo "skipped: $1: $refused"
        return 0
    fi
    header=$(echo "$settings" | sed -n 's/^header=//p' | head -n 1)
    compiler=$(echo "$settings" | sed -n 's/^cc=//p' | head -n 1)
    if [ ! -f "$header" ] || ! command -v "$compiler" >/dev/null; then
        echo "skipped: no $header or no $compiler for $1"
        return 0
    fi
    # shellcheck disable=SC2046 # words
    "$compiler" $(echo "$settings" | sed -n 's/^flag=-I/-isystem/p; s/^flag=//p') -Wall -Wextra -Werror -o /dev/null \
        "$directory"/*.c || failed=1
}

compile ruby ruby --disable=gems daemon/loaders/ruby/native/settings.rb
compile python /usr/bin/python3 -I daemon/loaders/python/native/settings.py
exit "$failed"
