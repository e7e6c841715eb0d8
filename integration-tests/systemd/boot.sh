#!/bin/bash
# Boots a separate systemd over a temporary copy of this machine's files, or of those below ROOT, and prints the
# directory that identifies it.
#
#   boot.sh up [ROOT]     boots it; prints STATE
#   boot.sh in STATE CMD  runs a command in it
#   boot.sh down STATE    powers it off and removes everything
#
# It has its own processes, network (lo), host name, mounts and cgroups; what is written in it is in memory and gone at
# the end. For root. PID 1 of the machine need not be systemd.
set -eu

self=$(readlink -f "$0")
system_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# What belongs to a whole machine, or waits for one.
masked="getty.target console-getty.service getty@tty1.service systemd-logind.service systemd-timesyncd.service
 systemd-firstboot.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
 systemd-journal-flush.service systemd-pstore.service systemd-binfmt.service systemd-sysctl.service
 systemd-journald-audit.socket sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
 sys-fs-fuse-connections.mount dev-hugepages.mount proc-sys-fs-binfmt_misc.automount modprobe@.service
 kmod-static-nodes.service systemd-modules-load.service systemd-remount-fs.service networking.service cron.service
 e2scrub_reap.service e2scrub_all.timer fstrim.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
 man-db.timer logrotate.timer systemd-initctl.socket postgresql.service remote-fs.target"

# In a mount namespace of its own: a fresh cgroup becomes the root of the cgroup namespace that is made next.
cgroup() {
    local state=$1
    mount --make-rprivate /
    mount -t cgroup2 none "$state/cgroup"
    mkdir "$state/cgroup/$(basename "$state")"
    echo $$ > "$state/cgroup/$(basename "$state")/cgroup.procs"
    umount "$state/cgroup"
    exec unshare --cgroup --pid --fork --kill-child --ipc --uts --net --mount "$self" root "$state" "$2"
}

# As the first process of the new namespaces: builds the root, and becomes systemd.
root() {
    local state=$1 new=$1/memory/root outer device unit
    read -r outer _ < /proc/self/stat
    mount -t tmpfs -o mode=755,size=75% none "$state/memory"
    mkdir "$state"/memory/{upper,work,root}
    mount -t overlay -o "lowerdir=$2,upperdir=$state/memory/upper,workdir=$state/memory/work" none "$new"
    mount -t proc -o nosuid,nodev,noexec proc "$new/proc"
    mount --bind "$new/proc/sys" "$new/proc/sys"
    mount -o remount,bind,ro "$new/proc/sys"
    mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$new/sys"
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$new/sys/fs/cgroup"
    mount -t tmpfs -o mode=755,nosuid,size=4m none "$new/dev"
    for device in null zero full random urandom tty; do cp -a "/dev/$device" "$new/dev/$device"; done
    mkdir "$new"/dev/{pts,shm,mqueue}
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$new/dev/pts"
    mount -t tmpfs -o mode=1777,nosuid,nodev none "$new/dev/shm"
    ln -s pts/ptmx "$new/dev/ptmx"
    ln -s /proc/self/fd "$new/dev/fd"
    : > "$new/dev/console"
    mount --bind "$(readlink /proc/self/fd/0)" "$new/dev/console"
    mount -t tmpfs -o mode=755,nosuid,nodev none "$new/run"
    mount -t tmpfs -o mode=1777,nosuid,nodev none "$new/tmp"
    mkdir -p "$new"/etc/systemd/{system,journald.conf.d}
    for unit in $masked; do ln -sfn /dev/null "$new/etc/systemd/system/$unit"; done
    printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nAudit=no\nReadKMsg=no\n' \
        > "$new/etc/systemd/journald.conf.d/test.conf"
    # A container's ban on starting services is none of this machine's.
    rm -f "$new/usr/sbin/policy-rc.d"
    ip link set lo up
    mkdir "$new/run/old"
    cd "$new"
    pivot_root . run/old
    umount -l /run/old
    rmdir /run/old
    # What container managers leave to themselves; credentials of units need it.
    mount --make-rshared /
    echo "$outer" >&3
    exec 3>&-
    exec env -i container=test PATH=$system_path TERM=linux LANG=C.UTF-8 \
        setpriv --bounding-set -sys_module,-sys_rawio,-sys_time,-wake_alarm,-block_suspend,-syslog \
        /lib/systemd/systemd --system --unit=multi-user.target --show-status=1
}

up() {
    local state pid tries=0 lower=${1:-/}
    state=$(mktemp -d "${TMPDIR:-/tmp}/fp-systemd.XXXXXX")
    chmod 755 "$state"
    mkdir "$state/memory" "$state/cgroup"
    mkfifo "$state/up"
    # A terminal of its own is PID 1's console.
    setsid script -qfec "exec unshare --mount '$self' cgroup '$state' '$lower' 3>'$state/up'" "$state/console.log" \
        < /dev/null > /dev/null 2>&1 &
    echo $! > "$state/script"
    pid=
    read -r -t 30 pid < "$state/up" || true
    if [ -z "$pid" ]; then
        cat "$state/console.log" >&2
        down "$state"
        return 1
    fi
    echo "$pid" > "$state/pid"
    until [ -S "/proc/$pid/root/run/systemd/private" ]; do
        tries=$((tries + 1))
        if [ ! -d "/proc/$pid" ] || [ "$tries" -gt 3000 ]; then
            cat "$state/console.log" >&2
            down "$state"
            return 1
        fi
        sleep 0.01
    done
    inside "$state" timeout 60 systemctl is-system-running --wait > "$state/booted" || true
    echo "$state"
}

inside() {
    local pid
    pid=$(cat "$1/pid")
    shift
    # shellcheck disable=SC2016 # for the shell inside
    nsenter --all -t "$pid" env -i container=test HOME=/root TERM=dumb LANG=C.UTF-8 PATH=$system_path sh -c '
        mkdir -p /sys/fs/cgroup/visitor && echo $$ > /sys/fs/cgroup/visitor/cgroup.procs; exec "$@"' sh "$@"
}

is_alive() { [ -d "/proc/$1" ] && [ "$(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null)" != Z ]; }

# gone PID SECONDS: whether it has ended by then
gone() {
    local tries=$(($2 * 50))
    while is_alive "$1"; do
        [ "$tries" -gt 0 ] || return 1
        tries=$((tries - 1))
        sleep 0.02
    done
}

down() {
    local state=$1 pid
    pid=$(cat "$state/pid" 2>/dev/null || true)
    if [ -n "$pid" ] && is_alive "$pid"; then
        # What `systemctl poweroff` does.
        kill -RTMIN+4 "$pid"
        gone "$pid" 20 || kill -9 "$pid"
    fi
    gone "$(cat "$state/script")" 5 || true
    # shellcheck disable=SC2016 # for the shell inside
    unshare --mount bash -c '
        mount -t cgroup2 none "$1/cgroup" || exit
        for try in {1..100}; do
            find "$1/cgroup/$(basename "$1")" -depth -type d -exec rmdir {} + 2>/dev/null && break
            [ -d "$1/cgroup/$(basename "$1")" ] || break
            sleep 0.02
        done' - "$state" || true
    rm -rf --one-file-system "$state"
}

command=${1:?usage: boot.sh up | in STATE COMMAND... | down STATE}
shift
case $command in
    up) up "$@" ;;
    in) inside "$@" ;;
    down) down "$@" ;;
    cgroup | root) "$command" "$@" ;;
    *) echo "boot.sh: there is no command $command" >&2; exit 2 ;;
esac
