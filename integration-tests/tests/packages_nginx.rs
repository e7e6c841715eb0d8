//! An upgrade to an nginx that does not load the module: apt is stopped before it, a trigger of dpkg reports it, and the
//! fallback serves until the module fits again.

use test_support::{Systemd, TestDir, eventually};

use crate::packages::{APP, SITE, local_repository, machine, trixie};

/// Packs the installed nginx again: a usual update, one that is built otherwise and refuses each module that was built for
/// this one, and one whose ABI has another name.
const NGINXES: &str = r#"
    cat > /root/change.py <<'EOF'
import re, sys
path, change = sys.argv[1:]
data = open(path, "rb").read()
if change == "other":
    signature = re.search(rb"8,4,8,[01]{30,}", data)
    at = signature.start() + 6
    data = data[:at] + (b"1" if data[at:at + 1] == b"0" else b"0") + data[at + 1:]
open(path, "wb").write(data)
EOF
    pack() {
        d=/root/nginx-$1
        mkdir -p $d/DEBIAN
        for file in postinst prerm triggers; do cp /var/lib/dpkg/info/nginx.$file $d/DEBIAN/$file; done
        dpkg-query -s nginx | sed "/^Status:/d; s/^Version: .*/Version: $1/; s/nginx-abi-[0-9.]*-[0-9]*/$2/" > $d/DEBIAN/control
        dpkg -L nginx | while read -r file; do
            if [ -f "$file" ]; then install -D -m "$(stat -c %a "$file")" "$file" "$d$file"; fi
        done
        python3 /root/change.py "$d/usr/sbin/nginx" "$3"
        dpkg-deb --build $d $4/nginx-$1.deb
    }
    mkdir -p /root/repo /root/later
    abi=$(dpkg-query -W -f '${Provides}' nginx | grep -o 'nginx-abi-[^, ]*')
    pack 1.99-1 $abi same /root/later
    pack 1.99-2 $abi other /root/later
    pack 1.99-3 nginx-abi-1.99-1 other /root/later
    pack 1.99-4 $abi same /root/later
"#;

const STATIC: &str = "server { listen 127.0.0.1:8081; location / { return 200 nginx; } }\n";

/// An app behind nginx.
struct Machine {
    systemd: Systemd,
    _test_dir: TestDir,
}

impl Machine {
    fn start(test: &str) -> Option<Self> {
        machine(test).map(Self::prepare)
    }

    fn prepare((systemd, test_dir): (Systemd, TestDir)) -> Self {
        // Both depend on this nginx, and the second one is a module, too.
        systemd.sh("dpkg --purge nginx-light libnginx-mod-http-echo 2>&1");
        systemd.sh(NGINXES);
        systemd.sh("dpkg -i /root/daemon.deb /root/module.deb 2>&1");
        systemd.write("/srv/shop/passenger_wsgi.py", APP.as_bytes());
        systemd.sh("mkdir /srv/shop/public");
        systemd.write("/etc/nginx/conf.d/shop.conf", SITE.as_bytes());
        systemd.write("/etc/nginx/conf.d/static.conf", STATIC.as_bytes());
        systemd.sh("systemctl reload nginx");
        Self { systemd, _test_dir: test_dir }
    }

    /// Offers an nginx in the repository that apt knows.
    fn offer(&self, version: &str) {
        self.systemd.sh(&format!("rm -f /root/repo/*; cp /root/later/nginx-{version}.deb /root/repo/"));
        local_repository(&self.systemd);
    }

    /// Runs apt-get, and returns whether it succeeded and what it said.
    fn apt(&self, arguments: &str) -> (bool, String) {
        let output =
            self.systemd.run(&format!("DEBIAN_FRONTEND=noninteractive apt-get -q -y {arguments} 2>&1"));
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn app(&self) -> String {
        self.systemd.sh("curl -sSf -m 60 http://127.0.0.1:8080/")
    }

    fn nginx(&self) -> String {
        self.systemd.sh("dpkg-query -W -f '${Version}' nginx; systemctl show -p MainPID nginx")
    }
}

#[test]
fn apt_does_not_install_an_nginx_that_refuses_the_module() {
    let Some(machine) = Machine::start("apt_does_not_install_an_nginx_that_refuses_the_module") else {
        return;
    };
    let pid = machine.app();
    machine.offer("1.99-1");
    let (succeeded, said) = machine.apt("upgrade");
    assert!(succeeded && !said.contains("flying-passenger: "), "a usual update: {said}");
    assert!(machine.nginx().starts_with("1.99-1"), "{}", machine.nginx());
    assert_eq!(machine.app(), pid, "the app outlives the update");

    let before = machine.nginx();
    machine.offer("1.99-2");
    let (succeeded, said) = machine.apt("upgrade");
    assert!(!succeeded && said.contains("apt is stopped before it changes anything"), "{said}");
    assert!(said.contains("is not binary compatible"), "nginx's reason: {said}");

    machine.offer("1.99-3");
    let (succeeded, said) = machine.apt("upgrade");
    assert!(succeeded && said.contains("kept back"), "it would remove the module: {said}");
    let (succeeded, said) = machine.apt("dist-upgrade");
    assert!(succeeded || said.contains("the same run removes"), "{said}");
    let (succeeded, said) = machine.apt("install nginx=1.99-3");
    assert!(!succeeded && said.contains("the same run removes"), "{said}");
    assert_eq!(machine.nginx(), before, "nothing has changed");
    assert_eq!(machine.app(), pid);
    assert_eq!(machine.systemd.sh("dpkg --audit"), "");

    // Where nginx needs no module, and where the administrator wants it so, it does not interfere.
    machine.systemd.sh("mv /etc/nginx/conf.d/shop.conf /root; rm /etc/nginx/modules-enabled/*flying*");
    let (succeeded, said) = machine.apt("install nginx=1.99-3");
    assert!(succeeded, "{said}");
    assert_eq!(machine.systemd.sh("curl -sSf http://127.0.0.1:8081/"), "nginx");
}

#[test]
fn an_administrator_can_switch_the_guard_of_apt_off() {
    let Some(machine) = Machine::start("an_administrator_can_switch_the_guard_of_apt_off") else {
        return;
    };
    machine.offer("1.99-2");
    let (_, said) = machine.apt("-o FlyingPassenger::Guard=off install nginx=1.99-2");
    assert!(!said.contains("apt is stopped"), "{said}");
    // The trigger says what has become of it, on the terminal and in the journal.
    let cause = "nginx refuses its configuration because of a module";
    for text in [&said, &machine.systemd.journal()] {
        assert!(text.contains(cause) && text.contains("is not binary compatible"), "{text}");
        assert!(text.contains("nginx is not running, and cannot be started"), "{text}");
    }
    // After the package has gone, but not its configuration, apt still works.
    machine
        .systemd
        .sh("dpkg --remove libnginx-mod-http-flying-passenger 2>&1; test -e /etc/apt/apt.conf.d/60libnginx*");
    machine.systemd.sh("rm /etc/nginx/conf.d/shop.conf");
    machine.offer("1.99-4");
    let (succeeded, said) = machine.apt("upgrade");
    assert!(succeeded && machine.nginx().starts_with("1.99-4"), "{said}");
}

/// The gate as docs/FALLBACK.md configures it.
const GATE: &str = "
[gate]
listen = [\"unix:/run/flying-passenger-gate/http.sock\"]
trusted_proxies = [\"unix:\"]

[[apps]]
hosts = [\"shop.test\"]
root = \"/srv/shop\"
";

#[test]
fn the_fallback_serves_until_the_module_fits_again() {
    if let Some(machine) = Machine::start("the_fallback_serves_until_the_module_fits_again") {
        fallback(&machine);
    }
}

#[test]
fn the_fallback_serves_in_trixie() {
    if let Some(machine) = trixie("the_fallback_serves_in_trixie").map(Machine::prepare) {
        fallback(&machine);
    }
}

fn fallback(machine: &Machine) {
    machine.systemd.write("/root/gate.toml", GATE.as_bytes());
    machine.systemd.sh("cat /root/gate.toml >> /etc/flying-passenger/flying-passenger.toml");
    machine.systemd.sh("systemctl enable -q --now flying-passenger-gate");
    machine.systemd.sh(
        "sed 's/listen 80 default_server;/& listen 8080;/' /usr/share/doc/flying-passenger/examples/fallback.conf \
            > /etc/flying-passenger/fallback.conf",
    );
    let pid = machine.app();
    machine.offer("1.99-2");
    let (_, said) = machine.apt("upgrade");
    assert!(said.contains("/etc/flying-passenger/fallback.conf serves the sites until"), "{said}");
    let ask = "curl -sSf -m 60 http://shop.test:8080/ --resolve shop.test:8080:127.0.0.1";
    eventually("the fallback answers", || machine.systemd.run(ask).status.success());
    assert_eq!(machine.systemd.sh(ask), pid, "by the same process of the app");
    machine.systemd.sh("! systemctl -q is-active nginx; systemctl -q is-active flying-passenger-fallback");
    eventually("it is reported", || machine.systemd.journal().contains("The fallback serves the sites."));

    // A start that is tried again ends in the fallback again, also at the next start of the machine.
    machine.systemd.run("systemctl restart nginx");
    eventually("the fallback answers", || machine.systemd.run(ask).status.success());
    machine.systemd.sh("! systemctl -q is-active nginx; systemctl -q is-active flying-passenger-fallback");

    // An nginx that fits, as the module that was rebuilt would.
    machine.offer("1.99-4");
    let (_, said) = machine.apt("upgrade");
    assert!(said.contains("nginx accepts its configuration again"), "{said}");
    machine.systemd.sh("systemctl -q is-active nginx; ! systemctl -q is-active flying-passenger-fallback");
    assert_eq!(machine.app(), pid, "the app has not noticed");
    assert_eq!(machine.systemd.sh("dpkg --audit"), "");
}

#[test]
fn nginx_that_fails_without_a_fallback_fails_as_before() {
    let Some(machine) = Machine::start("nginx_that_fails_without_a_fallback_fails_as_before") else {
        return;
    };
    machine
        .systemd
        .sh("echo 'no_such_directive;' > /etc/nginx/conf.d/wrong.conf; ! systemctl restart nginx 2>&1");
    eventually("the fallback has nothing to do", || {
        machine.systemd.journal().contains("unmet condition check (ConditionPathExists=/etc/flying-passenger")
    });
    machine.systemd.sh("! systemctl -q is-failed flying-passenger-fallback");
    // dpkg's trigger does not report what does not concern the module.
    let said = machine.systemd.sh("dpkg -i /root/module.deb 2>&1");
    assert!(!said.contains("because of a module"), "{said}");
    machine.systemd.sh("rm /etc/nginx/conf.d/wrong.conf; systemctl start nginx");
    machine.app();
    // Who removes the module while sites need it is told, and nginx runs on.
    let said = machine.systemd.sh("apt-get -q -y remove libnginx-mod-http-flying-passenger 2>&1");
    assert!(said.contains("unknown directive") && said.contains("it cannot be restarted"), "{said}");
    assert_eq!(machine.systemd.sh("curl -sSf http://127.0.0.1:8081/"), "nginx");
}

/// A module for the nginx that is built otherwise, as a repository for the next release of Debian has it.
const MODULE: &str = r#"
    dpkg-deb -R /root/module.deb /root/module
    sed -i 's/^Version: .*/&.1/; s/nginx-abi-[0-9.]*-[0-9]*/nginx-abi-1.99-1/' /root/module/DEBIAN/control
    python3 /root/change.py /root/module/usr/lib/nginx/modules/ngx_http_passenger_module.so other
    dpkg-deb --build /root/module /root/repo/module.deb
"#;

#[test]
fn nginx_and_its_module_are_upgraded_together() {
    let Some(machine) = Machine::start("nginx_and_its_module_are_upgraded_together") else {
        return;
    };
    let pid = machine.app();
    machine.systemd.sh(&format!("cp /root/later/nginx-1.99-3.deb /root/repo; {MODULE}"));
    local_repository(&machine.systemd);
    let (succeeded, said) = machine.apt("dist-upgrade");
    assert!(succeeded && machine.nginx().starts_with("1.99-3"), "{said}");
    assert!(!said.contains("flying-passenger: nginx"), "nothing is refused: {said}");
    machine.systemd.sh("systemctl -q is-active nginx; nginx -t -q 2>&1");
    assert_eq!(machine.app(), pid, "the app outlives the upgrade");
    assert_eq!(machine.systemd.sh("dpkg --audit"), "");
}
