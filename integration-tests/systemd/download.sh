#!/bin/sh
# Downloads packages with everything that a Debian does not have yet, into a directory. Idempotent. For root.
set -eu

tree=${1:?usage: download.sh TREE DIRECTORY PACKAGE...}
directory=${2:?usage: download.sh TREE DIRECTORY PACKAGE...}
shift 2

mkdir -p "$directory"
directory=$(readlink -f "$directory")
exec 9>"$directory/lock"
flock 9
[ ! -e "$directory/made" ] || exit 0
rm -f "$directory"/*.deb
# shellcheck disable=SC2016 # for the shell inside
unshare --mount sh -ec '
    tree=$1 directory=$2
    shift 2
    mount --make-rprivate /
    work=$(mktemp -d)
    trap "umount -R \"$work\"; rmdir \"$work\"" EXIT
    mount -t tmpfs none "$work"
    mkdir "$work/upper" "$work/work" "$work/root"
    mount -t overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" none "$work/root"
    mount -t proc proc "$work/root/proc"
    mount --bind /dev "$work/root/dev"
    cp /etc/resolv.conf /etc/hosts "$work/root/etc/"
    chroot "$work/root" apt-get -q update
    chroot "$work/root" apt-get -q -y --no-install-recommends --download-only install "$@"
    cp "$work/root/var/cache/apt/archives"/*.deb "$directory/"
' - "$tree" "$directory" "$@" >"$directory/log" 2>&1 || { tail -n 20 "$directory/log" >&2; exit 1; }
: >"$directory/made"
