//! The apt repository of `make apt-repo`, and the packages for Debian's other release that it holds.

use std::path::Path;
use std::process::Command;

use test_support::{Systemd, TestDir, clean_debian, debian_packages, debian_packages_of, workspace};

use crate::packages::{APP, SITE, can_make_debian, trixie_root};

/// Makes a repository, signed with a key that is made for it.
fn repository(packages: &Path, directory: &Path, home: &Path) {
    let home = home.to_str().unwrap();
    let key = "packages@test.invalid";
    run(Command::new("mkdir").args(["-m", "700", home]));
    let mut gpg = Command::new("gpg");
    gpg.env("GNUPGHOME", home).args(["--batch", "--quiet", "--passphrase", "", "--quick-generate-key"]);
    run(gpg.args([key, "ed25519", "sign", "never"]));
    let mut script = Command::new(workspace().join("packaging/deb/repository.sh"));
    run(script.env("GNUPGHOME", home).arg(packages).arg(directory).arg(key));
    run(Command::new("gpgconf").env("GNUPGHOME", home).args(["--kill", "all"]));
}

fn run(command: &mut Command) {
    let output = command.output().expect("build/deps.sh repo installs it");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Adds the repository to a machine as the manual says.
fn add_to(machine: &Systemd, repository: &Path, suite: &str) {
    machine.copy(repository, "/srv/apt");
    machine.sh("rm -rf /etc/apt/sources.list.d/* /etc/apt/sources.list; cp /srv/apt/flying-passenger.gpg /usr/share/keyrings/");
    let source =
        format!("deb [signed-by=/usr/share/keyrings/flying-passenger.gpg] file:/srv/apt {suite} main\n");
    machine.write("/etc/apt/sources.list.d/flying-passenger.list", source.as_bytes());
}

/// Installs the packages by name, and an application behind nginx, which answers with its PID.
fn install_by_apt(machine: &Systemd) {
    machine.sh("apt-get -q update 2>&1 && apt-get -q -y install flying-passenger 2>&1");
    machine.sh("dpkg-query -W libnginx-mod-http-flying-passenger && dpkg --audit");
    machine.write("/srv/shop/passenger_wsgi.py", APP.as_bytes());
    machine.sh("mkdir /srv/shop/public");
    machine.write("/etc/nginx/conf.d/shop.conf", SITE.as_bytes());
    machine.sh("nginx -t 2>&1 && systemctl restart nginx");
    let ask = || machine.sh("curl -sSf -m 60 http://127.0.0.1:8080/");
    let pid = ask();
    machine.sh("systemctl restart nginx");
    assert_eq!(ask(), pid);
}

#[test]
fn apt_installs_from_the_signed_repository_and_no_other() {
    let test = "apt_installs_from_the_signed_repository_and_no_other";
    if !can_make_debian(test) {
        return;
    }
    let root = clean_debian().unwrap_or_else(|why| panic!("there is no clean Debian: {why}"));
    let test_dir = TestDir::new();
    let (packages, directory) = (test_dir.scratch("deb"), test_dir.scratch("apt"));
    debian_packages(&packages);
    repository(&packages, &directory, &test_dir.scratch("gpg"));
    let machine = Systemd::boot_from(&root);
    add_to(&machine, &directory, "bookworm");
    install_by_apt(&machine);
    // The documents and samples that messages name.
    machine.sh(
        "cd /usr/share/doc/flying-passenger
        ls FALLBACK.md NGINX-VERSIONS.md examples/fallback.conf examples/nginx-conf/one-app.conf examples/runit/run",
    );
    // Without a package of Phusion's name in any archive, that name is no name of ours when it is removed.
    machine.run("apt-get -q -y purge libnginx-mod-http-passenger 2>&1");
    machine.sh("dpkg-query -W -f '${Status}' libnginx-mod-http-flying-passenger | grep ' installed$'");
    // A repository that somebody has changed.
    machine.sh(
        "sed -i 's/^Description: .*/Description: changed/' /srv/apt/dists/bookworm/main/binary-*/Packages",
    );
    machine.sh("rm -f /srv/apt/dists/bookworm/main/binary-*/Packages.gz");
    machine.sh("rm -rf /var/lib/apt/lists/*; ! apt-get -q --error-on=any update 2>&1");
}

#[test]
fn the_packages_for_trixie_serve_an_app_in_a_clean_trixie() {
    let test = "the_packages_for_trixie_serve_an_app_in_a_clean_trixie";
    let Some(root) = trixie_root(test) else {
        return;
    };
    let test_dir = TestDir::new();
    let (packages, directory) = (test_dir.scratch("deb"), test_dir.scratch("apt"));
    debian_packages_of(&packages, Some("trixie"));
    repository(&packages, &directory, &test_dir.scratch("gpg"));
    let machine = Systemd::boot_from(&root);
    add_to(&machine, &directory, "trixie");
    install_by_apt(&machine);
    assert!(machine.sh("nginx -v 2>&1").contains("nginx/1.26"));
    machine.sh("passenger-config validate-install --auto 2>&1 || passenger-config validate-install 2>&1");
    machine.sh("rm /etc/nginx/conf.d/shop.conf; apt-get -q -y purge flying-passenger libnginx-mod-http-flying-passenger 2>&1");
    machine.sh("nginx -t 2>&1 && systemctl -q is-active nginx");
}
