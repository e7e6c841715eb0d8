#!/bin/sh
# Makes a Debian as it is freshly installed, with nginx and what the test's app needs, in the directory that is named: of this
# machine's release, or of another one.
# Idempotent. For root; it takes debootstrap and Debian's archive.
set -eu

root=${1:?usage: debian.sh DIRECTORY [SUITE]}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
# shellcheck source=/dev/null
suite=${2:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
packages=systemd,systemd-sysv,dbus,nginx-light,python3,curl,procps

# Tests run side by side: one makes it, the others wait.
mkdir -p "$root"
exec 9>"$root/lock"
flock 9
[ ! -e "$root/made" ] || exit 0
rm -rf "$root/tree"
debootstrap --variant=minbase --include="$packages" "$suite" "$root/tree" "$mirror" >"$root/log" 2>&1 ||
    { tail -n 20 "$root/log" >&2; exit 1; }
rm -rf "$root/tree/var/cache/apt/archives"/*.deb
: >"$root/made"
