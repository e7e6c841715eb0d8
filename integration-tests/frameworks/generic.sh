#!/bin/sh
# Prepares the generic applications of tests/gallery_generic.rs below the directory given: Python packages of
# generic-requirements.txt in a virtual environment, and the Go server, compiled. Quick when all is there. Interpreters
# and compilers are installed already (install.sh).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
dir=$(cd "$1" && pwd)

python=$dir/generic-python
if ! cmp -s "$here/generic-requirements.txt" "$python/installed.txt"; then
    echo "preparing Tornado, Sanic and Gradio"
    rm -rf "$python"
    /usr/bin/python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/generic-requirements.txt"
    cp "$here/generic-requirements.txt" "$python/installed.txt"
fi

go=$dir/generic-go
if ! cmp -s "$here/generic/server.go" "$go/server.go"; then
    echo "compiling the Go server"
    mkdir -p "$go"
    cp "$here/generic/server.go" "$go/compiled.go"
    (cd "$go" && GO111MODULE=off CGO_ENABLED=0 GOCACHE="$go/cache" go build -o server compiled.go)
    rm -rf "$go/cache"
    mv "$go/compiled.go" "$go/server.go"
fi
