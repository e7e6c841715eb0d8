#!/bin/sh
# Unpacks Debian trixie's ruby-rack (Rack 3) into a directory and prints the library path, to test beside Debian 12's
# Rack 2. Uses the mirror that this machine uses, and apt's own check of signatures; nothing is installed.
set -eu

target=${1:?usage: fetch-rack3.sh DIRECTORY}
library=$target/root/usr/share/rubygems-integration/all/gems

found() { find "$library" -maxdepth 1 -name 'rack-3*' 2>/dev/null | head -n 1; }

if [ -z "$(found)" ]; then
    mirror=$(grep -rhoE '(https?://[^ ]+/debian)/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/ 2>/dev/null | head -n 1 | sed 's|/* *$||')
    [ -n "$mirror" ] || { echo "fetch-rack3.sh: no Debian mirror in /etc/apt" >&2; exit 1; }
    mkdir -p "$target/lists/partial" "$target/cache/archives/partial" "$target/root"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$target/sources.list"
    options="-o Dir::Etc::sourcelist=$target/sources.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=$target/lists"
    options="$options -o Dir::Cache=$target/cache -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086 # a list of words
    apt-get $options -q update >&2
    # shellcheck disable=SC2086
    (cd "$target" && apt-get $options -q download ruby-rack >&2 && dpkg -x ruby-rack_*.deb root)
fi
[ -n "$(found)" ] || { echo "fetch-rack3.sh: the package holds no Rack 3" >&2; exit 1; }
echo "$(found)/lib"
