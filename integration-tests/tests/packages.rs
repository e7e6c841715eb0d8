//! The Debian packages on a clean Debian: dependencies, installed files, and what remains after a purge.

use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::{Systemd, TestDir, clean_debian, clean_debian_of, debian_packages, debian_packages_of};
use test_support::{eventually, skipped, workspace};

use crate::systemd::can_boot;

pub(crate) const SITE: &str = "server {
    listen 127.0.0.1:8080;
    root /srv/shop/public;
    passenger_enabled on;
}
passenger_fly_with /run/flying-passenger.sock;
";

pub(crate) const APP: &str = "import os

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d' % os.getpid()]
";

/// Whether a clean Debian can be made and booted here; reports a test that is skipped.
pub(crate) fn can_make_debian(test: &str) -> bool {
    let debootstrap = Command::new("debootstrap").arg("--version").output().is_ok();
    if !debootstrap {
        skipped(test, "it takes debootstrap");
    }
    debootstrap && can_boot(test)
}

/// A clean machine with the packages beside it, not installed.
pub(crate) fn machine(test: &str) -> Option<(Systemd, TestDir)> {
    if !can_make_debian(test) {
        return None;
    }
    let root = clean_debian().unwrap_or_else(|why| panic!("there is no clean Debian: {why}"));
    let test_dir = TestDir::new();
    let packages = debian_packages(&test_dir.scratch("deb"));
    Some((beside(&root, packages), test_dir))
}

/// The same with Debian 13 and the packages for it.
pub(crate) fn trixie(test: &str) -> Option<(Systemd, TestDir)> {
    let root = trixie_root(test)?;
    let test_dir = TestDir::new();
    let packages = debian_packages_of(&test_dir.scratch("deb"), Some("trixie"));
    Some((beside(&root, packages), test_dir))
}

/// The files of a clean Debian 13, if they and the headers of its nginx can be had here; reports a test that is skipped.
pub(crate) fn trixie_root(test: &str) -> Option<PathBuf> {
    if !can_make_debian(test) {
        return None;
    }
    let headers =
        Command::new(workspace().join("ngx-module/build/debian.sh")).arg("trixie").output().unwrap();
    let root = match headers.status.success() {
        true => clean_debian_of("trixie"),
        false => Err(String::from_utf8_lossy(&headers.stderr).into_owned()),
    };
    root.map_err(|why| skipped(test, &why)).ok()
}

fn beside(root: &Path, packages: [PathBuf; 2]) -> Systemd {
    let systemd = Systemd::boot_from(root);
    for (name, package) in ["daemon", "module"].into_iter().zip(packages) {
        systemd.write(&format!("/root/{name}.deb"), &std::fs::read(package).unwrap());
    }
    systemd
}

/// Lets apt know the packages in /root/repo, and nothing else.
pub(crate) fn local_repository(machine: &Systemd) {
    machine.sh("cd /root/repo
        for deb in *.deb; do
            dpkg-deb -f \"$deb\"
            echo \"Filename: ./$deb\"
            echo \"Size: $(stat -c %s \"$deb\")\"
            printf 'SHA256: %s\\n\\n' \"$(sha256sum < \"$deb\" | cut -d ' ' -f 1)\"
        done > Packages
        rm -f /etc/apt/sources.list.d/*
        echo 'deb [trusted=yes] file:/root/repo ./' > /etc/apt/sources.list
        chmod a+rx /root
        apt-get -q update 2>&1");
}

/// Every file but those of other packages' records and caches.
const EVERYTHING: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /tmp -o -path /root -o -path /var/log \
    -o -path /var/lib/dpkg -o -path /var/cache -o -path /run/systemd -o -path /run/log -o -path /run/udev \\) -prune \
    -o -print | sort";

#[test]
fn packages_install_into_a_clean_debian_and_purge_completely() {
    let Some((machine, _test_dir)) = machine("packages_install_into_a_clean_debian_and_purge_completely")
    else {
        return;
    };
    let before = machine.sh(EVERYTHING);
    machine.sh("dpkg -i /root/daemon.deb /root/module.deb");
    assert_eq!(machine.sh("dpkg --audit"), "", "everything that they depend on is there");
    machine.sh("systemctl -q is-active flying-passenger.service flying-passenger.socket nginx");
    machine.write("/srv/shop/passenger_wsgi.py", APP.as_bytes());
    machine.sh("mkdir /srv/shop/public");
    machine.write("/etc/nginx/conf.d/shop.conf", SITE.as_bytes());
    machine.sh("nginx -t 2>&1 && systemctl restart nginx");
    let ask = || machine.sh("curl -sSf -m 60 http://127.0.0.1:8080/");
    let pid = ask();
    machine.sh("systemctl restart nginx");
    assert_eq!(ask(), pid);
    for program in [
        "flying-passenger",
        "flying-passenger-gate",
        "passenger",
        "passenger-status",
        "passenger-config",
        "passenger-memory-stats",
    ] {
        machine.sh(&format!("{program} --version; {program} --help"));
    }
    machine.sh("rm /etc/nginx/conf.d/shop.conf; rm -r /srv/shop");
    machine.sh("dpkg -r libnginx-mod-http-flying-passenger flying-passenger");
    let conffile = "/etc/flying-passenger/flying-passenger.toml";
    assert_eq!(machine.sh(&format!("ls {conffile}")).trim(), conffile, "removal keeps the configuration");
    machine.sh("dpkg -P libnginx-mod-http-flying-passenger flying-passenger");
    eventually("nginx is as before", || {
        machine.run("nginx -t && systemctl -q is-active nginx").status.success()
    });
    let after = machine.sh(EVERYTHING);
    let new: Vec<_> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    let gone: Vec<_> = before.lines().filter(|line| !after.lines().any(|now| now == *line)).collect();
    assert_eq!((new, gone), (vec![], vec![]), "nothing is left behind, and nothing missing");
    assert_eq!(machine.sh("getent passwd flying-passenger || true"), "");
}

#[test]
fn a_changed_configuration_survives_upgrade_and_reinstallation() {
    let Some((machine, _test_dir)) = machine("a_configuration_that_was_changed_survives_an_upgrade") else {
        return;
    };
    machine.sh("dpkg -i /root/daemon.deb /root/module.deb");
    machine.sh("echo '# mine' >> /etc/flying-passenger/flying-passenger.toml");
    machine.sh("rm /etc/nginx/modules-enabled/50-mod-http-flying-passenger.conf");
    machine.sh("systemctl disable -q --now flying-passenger.service");
    machine.sh("dpkg -i --force-confold /root/daemon.deb /root/module.deb");
    assert!(machine.sh("tail -n 1 /etc/flying-passenger/flying-passenger.toml").contains("# mine"));
    machine.sh("! test -e /etc/nginx/modules-enabled/50-mod-http-flying-passenger.conf");
    machine.sh("! systemctl -q is-enabled flying-passenger.service");
    machine.sh("dpkg -r flying-passenger; dpkg -i /root/daemon.deb");
    assert!(machine.sh("tail -n 1 /etc/flying-passenger/flying-passenger.toml").contains("# mine"));
}
