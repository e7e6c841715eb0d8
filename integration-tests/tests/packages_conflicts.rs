//! The packages beside Debian's and Phusion's own Passenger: each can be installed over the others, removed and upgraded,
//! and nginx keeps running.

use test_support::{Systemd, TestDir, debian_archive};

use crate::packages::{APP, SITE, local_repository, machine};

/// A stand-in for the package of Phusion's repository: its name, its higher version, and its files. The module is ours.
const PHUSION: &str = r#"
    d=/root/phusion
    mkdir -p $d/DEBIAN $d/usr/lib/nginx/modules $d/usr/share/nginx/modules-available $d/etc/nginx/conf.d
    dpkg-deb --fsys-tarfile /root/module.deb | tar -xO ./usr/lib/nginx/modules/ngx_http_passenger_module.so \
        > $d/usr/lib/nginx/modules/ngx_http_passenger_module.so
    echo 'load_module modules/ngx_http_passenger_module.so;' > $d/usr/share/nginx/modules-available/mod-http-passenger.conf
    printf 'passenger_root /usr/lib/ruby/vendor_ruby/phusion_passenger/locations.ini;\n' > $d/etc/nginx/conf.d/mod-http-passenger.conf
    echo /etc/nginx/conf.d/mod-http-passenger.conf > $d/DEBIAN/conffiles
    cat > $d/DEBIAN/control <<EOF
Package: libnginx-mod-http-passenger
Version: 1:6.0.20-1~bookworm1
Architecture: amd64
Maintainer: nobody <nobody@test.invalid>
Description: stand-in
EOF
    cat > $d/DEBIAN/postinst <<'EOF'
#!/bin/sh
ln -sf /usr/share/nginx/modules-available/mod-http-passenger.conf /etc/nginx/modules-enabled/50-mod-http-passenger.conf
dpkg-trigger --no-await nginx-reload
EOF
    cat > $d/DEBIAN/prerm <<'EOF'
#!/bin/sh
[ "$1" != remove ] || rm -f /etc/nginx/modules-enabled/50-mod-http-passenger.conf
EOF
    chmod 755 $d/DEBIAN/p*
    dpkg-deb --build $d /root/repo/phusion.deb
"#;

const STATIC: &str = "server { listen 127.0.0.1:8081; location / { return 200 nginx; } }\n";
const OURS: &str = "flying-passenger libnginx-mod-http-flying-passenger";
const DEBIANS: &str = "passenger";
const PHUSIONS: &str = "libnginx-mod-http-passenger";

/// A machine with nginx, and a repository of all the packages.
struct Machine {
    systemd: Systemd,
    _test_dir: TestDir,
    nginx: String,
}

impl Machine {
    fn start(test: &str) -> Option<Self> {
        let (systemd, test_dir) = machine(test)?;
        systemd.copy(&debian_archive("passenger").expect("Debian's archive"), "/root/repo");
        systemd.sh("mkdir -p /root/repo; cp /root/daemon.deb /root/module.deb /root/repo/");
        systemd.sh(PHUSION);
        local_repository(&systemd);
        systemd.write("/etc/nginx/conf.d/static.conf", STATIC.as_bytes());
        systemd.sh("systemctl restart nginx");
        let nginx = main_pid(&systemd);
        Some(Self { systemd, _test_dir: test_dir, nginx })
    }

    /// Runs apt, and checks that nginx was not stopped by it, serves, and could be started again.
    fn apt(&self, arguments: &str) {
        self.systemd.sh(&format!("DEBIAN_FRONTEND=noninteractive apt-get -q -y {arguments} 2>&1"));
        self.check(&format!("apt-get {arguments}"));
    }

    fn check(&self, what: &str) {
        assert_eq!(main_pid(&self.systemd), self.nginx, "{what}: nginx was restarted");
        assert_eq!(self.systemd.sh("curl -sSf -m 10 http://127.0.0.1:8081/"), "nginx", "{what}");
        self.systemd.sh("nginx -t -q 2>&1");
        assert_eq!(self.systemd.sh("dpkg --audit"), "", "{what}");
    }

    fn has(&self, package: &str) -> bool {
        let query = format!("dpkg-query -W -f '${{Status}}' {package} | grep -q ' installed$'");
        self.systemd.run(&query).status.success()
    }
}

fn main_pid(systemd: &Systemd) -> String {
    systemd.sh("systemctl show -p MainPID --value nginx")
}

#[test]
fn passengers_packages_replace_each_other_in_every_order() {
    let Some(machine) = Machine::start("passengers_packages_replace_each_other_in_every_order") else {
        return;
    };
    for order in [
        [OURS, DEBIANS, PHUSIONS],
        [OURS, PHUSIONS, DEBIANS],
        [DEBIANS, OURS, PHUSIONS],
        [DEBIANS, PHUSIONS, OURS],
        [PHUSIONS, OURS, DEBIANS],
        [PHUSIONS, DEBIANS, OURS],
    ] {
        for packages in order {
            machine.apt(&format!("install {packages}"));
            machine.apt("upgrade");
            machine.apt("dist-upgrade");
            for package in packages.split(' ') {
                assert!(machine.has(package), "{order:?}: {package}");
            }
            assert!(!(machine.has(DEBIANS) && machine.has("flying-passenger")), "{order:?}");
            assert!(
                !(machine.has(PHUSIONS) && machine.has("libnginx-mod-http-flying-passenger")),
                "{order:?}"
            );
            if packages == OURS {
                // Its configuration stays until it is purged; the module accepts it.
                machine.apt(&format!("purge {PHUSIONS}"));
                assert!(machine.has("libnginx-mod-http-flying-passenger"), "purging theirs keeps ours");
            }
        }
        for packages in order {
            machine.apt(&format!("purge {packages}"));
        }
        machine
            .systemd
            .sh("! ls /usr/lib/nginx/modules/*passenger* /etc/nginx/modules-enabled/*passenger* 2>&1");
    }
}

#[test]
fn apt_never_upgrades_the_module_to_phusions() {
    let Some(machine) = Machine::start("apt_never_upgrades_the_module_to_phusions") else {
        return;
    };
    machine.apt(&format!("install {OURS}"));
    machine.systemd.write("/srv/shop/passenger_wsgi.py", APP.as_bytes());
    machine.systemd.sh("mkdir /srv/shop/public");
    machine.systemd.write("/etc/nginx/conf.d/shop.conf", SITE.as_bytes());
    machine.systemd.sh("systemctl reload nginx");
    let ask = || machine.systemd.sh("curl -sSf -m 60 http://127.0.0.1:8080/");
    let pid = ask();
    for command in ["upgrade", "dist-upgrade", "autoremove", "install --reinstall flying-passenger"] {
        machine.apt(command);
        assert_eq!(ask(), pid, "{command}");
    }
    // dpkg alone refuses them, too, and nothing is half installed.
    for theirs in ["/root/repo/passenger_*.deb", "/root/repo/phusion.deb"] {
        machine.systemd.sh(&format!("! dpkg -i {theirs} 2>&1"));
        machine.check(theirs);
        assert_eq!(ask(), pid, "{theirs}");
    }
    // nginx runs on without the module that its configuration needs, as with any module.
    machine.systemd.sh(&format!("apt-get -q -y install {PHUSIONS} {DEBIANS} 2>&1"));
    assert_eq!(machine.systemd.sh("curl -sSf -m 10 http://127.0.0.1:8081/"), "nginx");
    machine.apt(&format!("install {OURS}"));
    ask();
}

#[test]
fn a_module_of_the_earlier_package_name_is_replaced() {
    let Some(machine) = Machine::start("a_module_of_the_earlier_package_name_is_replaced") else {
        return;
    };
    machine.systemd.sh(
        "dpkg-deb -R /root/repo/phusion.deb /root/earlier && rm -r /root/earlier/etc /root/earlier/DEBIAN/conffiles
        sed -i 's/^Version: .*/Version: 0.1.0/' /root/earlier/DEBIAN/control
        dpkg-deb --build /root/earlier /root/earlier.deb",
    );
    machine.systemd.sh("dpkg -i /root/earlier.deb /root/daemon.deb 2>&1");
    machine.check("the earlier name");
    machine.systemd.sh("dpkg -i /root/daemon.deb /root/module.deb 2>&1");
    machine.check("the new name");
    assert!(!machine.has(PHUSIONS), "dpkg removes it");
    machine.systemd.sh("test -e /etc/nginx/modules-enabled/50-mod-http-flying-passenger.conf");
    machine.apt("dist-upgrade");
    assert!(machine.has("libnginx-mod-http-flying-passenger"));
}
