//! Administration with systemd and Debian's nginx: packages are installed, an app served, services restarted, packages
//! removed.

use std::process::{Child, Command};

use test_support::{Systemd, TestDir, debian_packages, eventually, is_root, skipped, workspace};

const SITE: &str = "server {
    listen 127.0.0.1:8080;
    server_name shop.test;
    root /srv/shop/public;
    passenger_enabled on;
    passenger_app_type wsgi;
    passenger_startup_file passenger_wsgi.py;
    passenger_python /usr/bin/python3;
}
passenger_fly_with /run/flying-passenger.sock;
";

const APP: &str = "import os, time

def application(environ, start_response):
    if environ['PATH_INFO'] == '/slow':
        time.sleep(0.2)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d %d\\n' % (os.getpid(), os.getuid())]
";

/// Whether this test can have a separate machine; reports why not.
pub(crate) fn can_boot(test: &str) -> bool {
    let systemd = std::path::Path::new("/lib/systemd/systemd").exists();
    let namespaces = || Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).status();
    let can = is_root() && systemd && namespaces().is_ok_and(|status| status.success());
    if !can {
        skipped(test, "it takes root, with the right to make namespaces, and an installed systemd");
    }
    can
}

/// A machine with the packages and a site.
pub(crate) struct Machine {
    systemd: Systemd,
    /// Holds the packages.
    _test_dir: TestDir,
}

impl Machine {
    pub(crate) fn with_packages() -> Self {
        let test_dir = TestDir::new();
        let packages = debian_packages(&test_dir.scratch("deb"));
        let systemd = Systemd::boot();
        for (name, package) in ["daemon", "module"].into_iter().zip(packages) {
            systemd.write(&format!("/var/tmp/{name}.deb"), &std::fs::read(package).unwrap());
        }
        systemd.sh("dpkg -i /var/tmp/daemon.deb /var/tmp/module.deb 2>&1");
        Self { systemd, _test_dir: test_dir }
    }

    pub(crate) fn with_site() -> Self {
        let machine = Self::with_packages();
        machine.write("/srv/shop/passenger_wsgi.py", APP);
        machine.sh("mkdir /srv/shop/public; chown -R games:games /srv/shop");
        machine.write("/etc/nginx/conf.d/shop.conf", SITE);
        machine.sh("nginx -t && systemctl restart nginx");
        machine
    }

    pub(crate) fn systemd(&self) -> &Systemd {
        &self.systemd
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        self.systemd.write(path, text.as_bytes());
    }

    pub(crate) fn sh(&self, script: &str) -> String {
        self.systemd.sh(script).trim().to_owned()
    }

    /// PID and user of the app process that answers.
    pub(crate) fn answer(&self) -> (u32, u32) {
        let text = self.sh("curl -sSf -m 60 -H 'Host: shop.test' http://127.0.0.1:8080/");
        let mut words = text.split(' ').map(|word| word.parse().unwrap());
        (words.next().unwrap(), words.next().unwrap())
    }

    pub(crate) fn daemon_pid(&self) -> String {
        self.sh("systemctl show -P MainPID flying-passenger")
    }

    pub(crate) fn is_active(&self, unit: &str) -> bool {
        self.systemd.run(&format!("systemctl -q is-active {unit}")).status.success()
    }

    /// Asks without a pause until `stop` is there, two of three with a POST, which nginx does not repeat; prints how many
    /// answers were none.
    fn visitors(&self) -> Child {
        self.sh("rm -f /var/tmp/stop /var/tmp/bad; touch /var/tmp/bad");
        self.systemd.spawn(
            "for visitor in 1 '2 -d x' '3 -d x'; do
                set -- $visitor; visitor=$1; shift
                (until [ -e /var/tmp/stop ]; do
                    curl -sS \"$@\" -m 60 -o /dev/null -w '%{http_code}\\n' -H 'Host: shop.test' http://127.0.0.1:8080/slow \\
                        2>> /var/tmp/bad | grep -v '^200$' >> /var/tmp/bad || true
                    echo >> /var/tmp/asked.$visitor
                done) &
            done; wait; cat /var/tmp/bad",
        )
    }

    /// Waits until each visitor has had some more answers.
    fn await_more(&self) {
        let count = || self.sh("cat /var/tmp/asked.* 2>/dev/null | wc -l").parse::<u32>().unwrap();
        let before = count();
        eventually("visitors were answered", || count() > before + 12);
    }
}

#[test]
fn installation_restarts_and_removal_work_with_systemd() {
    if !can_boot("installation_restarts_and_removal_work_with_systemd") {
        return;
    }
    let machine = Machine::with_packages();
    for unit in ["flying-passenger.socket", "flying-passenger.service"] {
        assert!(machine.is_active(unit), "{unit} runs after the installation\n{}", machine.systemd.journal());
        machine.sh(&format!("systemctl -q is-enabled {unit}"));
    }
    assert_eq!(machine.sh("stat -c '%U:%G %a' /run/flying-passenger.sock"), "root:www-data 660");
    machine.write("/srv/shop/passenger_wsgi.py", APP);
    machine.sh("mkdir /srv/shop/public; chown -R games:games /srv/shop");
    machine.write("/etc/nginx/conf.d/shop.conf", SITE);
    machine.sh("nginx -t && systemctl restart nginx");

    let (app, user) = machine.answer();
    assert_eq!(user.to_string(), machine.sh("id -u games"));
    assert!(machine.sh("passenger-status").contains(&format!("* PID: {app}")));
    assert_eq!(machine.sh("ps -o user= -C flying-router"), "flying-passenger");
    machine.sh("passenger-config validate-install");
    let doctor = machine.sh("passenger-config doctor /srv/shop");
    assert!(
        doctor.contains("User        : games, ") && doctor.contains("The app starts and responds."),
        "{doctor}"
    );
    assert_eq!(machine.answer().0, app, "the serving app is not affected");
    machine.sh("zcat /usr/share/man/man8/passenger-config-doctor.8.gz | man -l - > /dev/null");
    machine.sh("systemctl restart nginx");
    machine.sh("systemctl reload nginx");
    assert_eq!(machine.answer().0, app, "nginx was restarted and reloaded, the app was not");
    machine.sh("kill -9 $(systemctl show -P MainPID nginx); systemctl restart nginx");
    assert_eq!(machine.answer().0, app, "nginx was killed");

    // The other version of a package: running processes continue.
    let daemon = machine.daemon_pid();
    machine.sh("echo '# mine' >> /etc/flying-passenger/flying-passenger.toml");
    machine.sh("dpkg -i /var/tmp/daemon.deb /var/tmp/module.deb 2>&1");
    assert_eq!(
        (machine.daemon_pid(), machine.answer().0),
        (daemon.clone(), app),
        "an upgrade leaves apps running"
    );
    assert!(machine.sh("tail -n 1 /etc/flying-passenger/flying-passenger.toml").contains("# mine"));
    let program = || machine.sh(&format!("readlink /proc/{daemon}/exe"));
    assert!(program().ends_with("(deleted)"), "it is still the old program");
    machine.sh("systemctl kill --kill-whom=main --signal=USR2 flying-passenger");
    eventually("the new program has taken over", || program() == "/usr/sbin/flying-passenger");
    assert_eq!(
        (machine.daemon_pid(), machine.answer().0),
        (daemon.clone(), app),
        "it continues with the same processes"
    );
    assert!(machine.is_active("flying-passenger.service"));

    machine.write("/etc/flying-passenger/environment", "TZ=Asia/Tokyo\n");
    machine.sh("rm /etc/nginx/conf.d/shop.conf; dpkg -r flying-passenger libnginx-mod-http-passenger 2>&1");
    assert!(!machine.is_active("flying-passenger.service") && machine.is_active("nginx"));
    machine.sh("! kill -0 $(ps -o pid= -C flying-passenger) 2>/dev/null");
    machine.sh("nginx -t && systemctl restart nginx");
    machine.sh("dpkg -P flying-passenger libnginx-mod-http-passenger 2>&1");
    let left = machine.sh(
        "find /etc /usr /var/lib /var/log /run \\( -name '*flying-passenger*' -o -name '*mod-http-passenger*' \
         -o -name 'passenger-*' \\) -newer /var/tmp/daemon.deb; getent passwd flying-passenger || true",
    );
    assert_eq!(left, "", "nothing is left behind");
}

#[test]
fn a_restart_of_the_service_loses_no_request() {
    if !can_boot("a_restart_of_the_service_loses_no_request") {
        return;
    }
    let machine = Machine::with_site();
    let (app, _) = machine.answer();
    let visitors = machine.visitors();
    for command in
        ["restart flying-passenger", "restart flying-passenger", "reload flying-passenger", "reload nginx"]
    {
        machine.await_more();
        let daemon = machine.daemon_pid();
        machine.sh(&format!("systemctl {command}"));
        assert_eq!(machine.daemon_pid() == daemon, !command.starts_with("restart"), "{command}");
    }
    machine.await_more();
    machine.sh("touch /var/tmp/stop");
    let bad = visitors.wait_with_output().unwrap();
    let journal = machine.systemd.journal();
    assert_eq!(String::from_utf8_lossy(&bad.stdout), "", "every request was answered\n{journal}");
    assert_ne!(machine.answer().0, app, "another daemon, another process");
    assert!(journal.contains("received SIGHUP: reading the configuration again"), "{journal}");
}

#[test]
fn the_environment_file_reaches_every_application() {
    if !can_boot("the_environment_file_reaches_every_application") {
        return;
    }
    let machine = Machine::with_site();
    machine.write("/etc/flying-passenger/environment", "# ours\nSHOP_MARK=\"from the file\"\n");
    machine.sh("systemctl restart flying-passenger");
    let app = machine.answer().0;
    let environment = machine.sh(&format!("tr '\\0' '\\n' < /proc/{app}/environ"));
    assert!(environment.lines().any(|line| line == "SHOP_MARK=from the file"), "{environment}");
}

#[test]
fn a_killed_daemon_is_started_again_and_its_socket_waits_for_it() {
    if !can_boot("a_killed_daemon_is_started_again_and_its_socket_waits_for_it") {
        return;
    }
    let machine = Machine::with_site();
    let (app, _) = machine.answer();
    let daemon = machine.daemon_pid();
    machine.sh(&format!("kill -9 {daemon}"));
    // Nobody waits for the restart: the request does, in the socket's backlog.
    eventually("another process answers", || machine.answer().0 != app);
    assert_ne!(machine.daemon_pid(), daemon);
    machine.sh(&format!("! kill -0 {app} 2>/dev/null"));
    assert_eq!(machine.sh("systemctl show -P NRestarts flying-passenger"), "1");
}

#[test]
fn the_watchdog_replaces_a_daemon_that_hangs() {
    if !can_boot("the_watchdog_replaces_a_daemon_that_hangs") {
        return;
    }
    let machine = Machine::with_site();
    let (app, _) = machine.answer();
    machine.write("/etc/systemd/system/flying-passenger.service.d/test.conf", "[Service]\nWatchdogSec=1s\n");
    machine.sh("systemctl daemon-reload; systemctl restart flying-passenger");
    let (another, _) = machine.answer();
    assert_ne!(another, app);
    let daemon = machine.daemon_pid();
    // The half that serves requests is replaced by the daemon itself, and nothing else is.
    let router = machine.sh("ps -o pid= -C flying-router");
    machine.sh(&format!("kill -STOP {router}"));
    eventually("another router answers", || machine.answer().0 == another);
    assert_ne!(machine.sh("ps -o pid= -C flying-router"), router);
    assert_eq!(machine.daemon_pid(), daemon);

    machine.sh(&format!("kill -STOP {daemon}"));
    eventually("systemd has replaced it", || machine.daemon_pid() != daemon && machine.daemon_pid() != "0");
    machine.answer();
    assert!(machine.systemd.journal().contains("Watchdog timeout"));
}

#[test]
fn the_units_pass_systemd_analyze() {
    let test_dir = TestDir::new();
    let units = test_dir.scratch("units");
    std::fs::create_dir_all(&units).unwrap();
    for unit in ["flying-passenger.service", "flying-passenger.socket", "flying-passenger-gate.service"] {
        let text = std::fs::read_to_string(workspace().join("daemon/systemd").join(unit)).unwrap();
        let program = test_support::binary("flying-passenger").display().to_string();
        std::fs::write(units.join(unit), text.replace("/usr/sbin/flying-passenger", &program)).unwrap();
    }
    if !std::path::Path::new("/usr/bin/systemd-analyze").exists() {
        return skipped("the_units_pass_systemd_analyze", "systemd-analyze is not installed");
    }
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).current_dir(&units).output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout),
        )
    };
    let all = ["./flying-passenger.service", "./flying-passenger.socket", "./flying-passenger-gate.service"];
    let (sound, reported) = analyze(&[&["verify", "--man=no"][..], &all].concat());
    // Units of other packages, which the service is ordered after, may be faulty.
    let ours: Vec<&str> = reported.lines().filter(|line| line.contains("flying-passenger")).collect();
    assert!(sound && ours.is_empty(), "{reported}");
    // The exposure that docs/SYSTEMD.md states, times ten.
    let (sound, reported) =
        analyze(&["security", "--offline=true", "--threshold=65", "./flying-passenger.service"]);
    assert!(sound, "{reported}");
    // The gate needs no privileges.
    let (sound, reported) =
        analyze(&["security", "--offline=true", "--threshold=20", "./flying-passenger-gate.service"]);
    assert!(sound, "{reported}");
}
