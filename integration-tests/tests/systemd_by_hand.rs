//! The packages on a machine where systemd does not manage the daemon: started by hand in the background, and by runit.

use test_support::{eventually, require_debian_package};

use crate::systemd::{Machine, can_boot};

/// A machine with a site, whose units are switched off.
fn without_units() -> Machine {
    let machine = Machine::with_site();
    machine.sh("systemctl disable --now flying-passenger.service flying-passenger.socket 2>&1");
    machine.sh("! pgrep -x flying-passenger");
    machine
}

/// Nothing of the daemon runs, and its socket is gone.
#[track_caller]
fn assert_gone(machine: &Machine, app: u32) {
    eventually("nothing of it runs", || {
        machine.sh("pgrep -x 'flying-passenge|flying-router' || true").is_empty()
    });
    machine.sh(&format!("! kill -0 {app} 2> /dev/null; test ! -e /run/flying-passenger.sock"));
}

#[test]
fn the_daemon_is_run_by_hand_where_its_packages_are() {
    if !can_boot("the_daemon_is_run_by_hand_where_its_packages_are") {
        return;
    }
    let machine = without_units();
    machine.sh("flying-passenger --socket-file=/run/flying-passenger.sock --daemonize \
         --log-file=/var/log/flying-passenger.log --pid-file=/run/flying-passenger.pid");
    // It accepts connections when the call has returned.
    let (app, _) = machine.answer();
    machine.sh("systemctl restart nginx");
    assert_eq!(machine.answer().0, app, "nginx was restarted, the app was not");
    let pid = machine.sh("cat /run/flying-passenger.pid");
    assert!(machine.sh("passenger-config list-instances").contains(&pid));
    assert!(machine.sh("cat /var/log/flying-passenger.log").contains("up and listening"));

    machine.sh("mv /var/log/flying-passenger.log /var/log/flying-passenger.log.1; kill -USR1 $(cat /run/flying-passenger.pid)");
    eventually("the log is reopened", || {
        machine.sh("cat /var/log/flying-passenger.log 2> /dev/null || true").contains("the log is now")
    });
    machine.sh("kill $(cat /run/flying-passenger.pid)");
    eventually("its PID file is gone", || {
        machine.sh("ls /run").lines().all(|name| name != "flying-passenger.pid")
    });
    assert_gone(&machine, app);
    assert!(machine.sh("cat /var/log/flying-passenger.log").contains("the daemon has ended"));
}

#[test]
fn the_daemon_is_a_service_of_runits_where_its_packages_are() {
    if !can_boot("the_daemon_is_a_service_of_runits_where_its_packages_are") {
        return;
    }
    require_debian_package("runit", "/usr/bin/runsv");
    let machine = without_units();
    machine.sh("mkdir -p /etc/sv /var/tmp/service
         cp -r /usr/share/doc/flying-passenger/examples/runit /etc/sv/flying-passenger
         ln -s /etc/sv/flying-passenger /var/tmp/service/
         systemd-run -q --unit=services runsvdir -P /var/tmp/service");
    let sv = |words: &str| machine.sh(&format!("sv -w 60 {words} /var/tmp/service/flying-passenger"));
    eventually("the service is there", || machine.sh("ls /etc/sv/flying-passenger").contains("supervise"));
    assert!(sv("start").starts_with("ok: run: "), "it waits until the daemon answers");
    let (app, _) = machine.answer();
    let status = sv("status");
    assert!(status.starts_with("run: ") && status.contains("; run: log: "), "{status}");
    machine.sh("systemctl restart nginx");
    assert_eq!(machine.answer().0, app, "nginx was restarted, the app was not");
    assert!(machine.sh("cat /var/log/flying-passenger/current").contains("up and listening"));

    sv("restart");
    let (next, _) = machine.answer();
    assert_ne!(next, app);
    machine.sh(&format!("! kill -0 {app} 2> /dev/null"));
    machine.sh("kill -9 $(cat /etc/sv/flying-passenger/supervise/pid)");
    eventually("runit has started another one", || {
        machine
            .systemd()
            .run("curl -sf -m 60 -o /dev/null -H 'Host: shop.test' http://127.0.0.1:8080/")
            .status
            .success()
    });
    let (last, _) = machine.answer();
    assert_ne!(last, next);
    assert!(sv("stop").starts_with("ok: down: "));
    assert_gone(&machine, last);
}
