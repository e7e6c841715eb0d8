#!/bin/bash
# Runs apt-get or apt-cache with separate package lists below target/matrix/apt, which include other releases of Debian.
# The machine's /etc/apt determines the archive and is not changed.
#
#   usage: suites.sh {get|cache} ARGUMENT...        as in: suites.sh get download nginx/sid
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
apt=${here%/*/*}/target/matrix/apt
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o Acquire::Languages=none
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)

# archive LABEL: an archive of this machine's Debian. apt knows it after the first update.
archive() {
    # shellcheck disable=SC2016 # apt's variables
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' "Label: $1" | head -n 1
}

update() {
    local site security suite
    site=$(archive Debian)
    if [ -z "$site" ]; then
        apt-get update -qq
        site=$(archive Debian)
    fi
    security=$(archive Debian-Security)
    [ -n "$site" ] || { echo "apt names no archive of Debian on this machine" >&2; return 1; }
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    cat >"$apt/sources.list" <<END
deb-src [signed-by=$keyring] $site bookworm main
deb-src [signed-by=$keyring] $site trixie main
deb [signed-by=$keyring] $site bookworm main
deb [signed-by=$keyring] $site trixie main
deb [signed-by=$keyring] $site sid main
END
    for suite in ${security:+bookworm trixie}; do
        echo "deb [signed-by=$keyring] $security $suite-security main" >>"$apt/sources.list"
    done
    echo "reading the package lists of bookworm, trixie and sid" >&2
    apt-get "${options[@]}" --error-on=any -qq update
    touch "$apt/updated"
}

# Lists older than a day may contain packages that were removed.
[ -n "$(find "$apt/updated" -mtime -1 2>/dev/null)" ] || update
tool=$1
shift
exec "apt-$tool" "${options[@]}" "$@"
