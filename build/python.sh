#!/bin/bash
# Checks the Python code of the repository with ruff (ruff.toml) and mypy (mypy.ini). Both are installed into
# target/tools/python in the versions below; without them the check fails.
set -u
cd "$(dirname "$0")/.." || exit 1

versions=(ruff==0.14.14 mypy==1.18.2)
tools=$PWD/target/tools/python

# The file `versions` contains the installed versions and is written last.
install_tools() {
    [ "$(cat "$tools/versions" 2>/dev/null)" != "${versions[*]}" ] || return 0
    echo "installing ${versions[*]} into target/tools/python"
    rm -rf "$tools"
    /usr/bin/python3 -m venv "$tools" && "$tools/bin/pip" install --quiet --disable-pip-version-check "${versions[@]}" &&
        echo "${versions[*]}" >"$tools/versions"
}

if ! install_tools; then
    echo "== failed: ${versions[*]} cannot be installed with pip, so that no Python was checked" >&2
    exit 1
fi
[ "${1-}" != install ] || exit 0

failed=0
mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.py')
"$tools/bin/ruff" check --quiet --output-format concise --cache-dir target/ruff "${files[@]}" || failed=1

# Modules are imported by their names, so each program is checked in its own directory.
types() {
    local dir=$1
    shift
    (cd "$dir" && "$tools/bin/mypy" --no-error-summary --config-file "$OLDPWD/mypy.ini" \
        --cache-dir "$OLDPWD/target/mypy/${dir//\//-}" "$@") || failed=1
}
types daemon/loaders/python --strict flying_passenger
types daemon/loaders/python --strict preloader.py
types daemon/loaders/python --strict wsgi-loader.py
types ngx-module/matrix guard.py place.py run.py
types ngx-module/tests bitfields.py smoke.py
types build --strict --python-version 3.11 lines.py
exit "$failed"
