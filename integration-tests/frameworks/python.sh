#!/bin/sh
# Installs the Python frameworks of the gallery into a virtual environment below the directory given, from PyPI, in the
# versions of requirements.txt. Quick when they are there.
#
# Debian's Python, as the apps' users can read it; one in a home directory they cannot.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=$1/python/venv
if cmp -s "$here/requirements.txt" "$venv/installed.txt"; then exit 0; fi

echo "installing Python's frameworks"
mkdir -p "$1/python"
/usr/bin/python3 -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-deps -r "$here/requirements.txt"
"$venv/bin/pip" check
chmod -R a+rX "$venv"
cp "$here/requirements.txt" "$venv/installed.txt"
