//! What an operator sees with systemd after a mistake: a reload with an error, and a second daemon on systemd's socket.

use test_support::eventually;

use crate::systemd::{Machine, can_boot};

const FILE: &str = "/etc/flying-passenger/flying-passenger.toml";

fn output(machine: &Machine, script: &str) -> (bool, String) {
    let output = machine.systemd().run(&format!("{{ {script}; }} 2>&1"));
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_reload_with_systemd_fails_when_the_configuration_has_an_error() {
    if !can_boot("a_reload_with_systemd_fails_when_the_configuration_has_an_error") {
        return;
    }
    let machine = Machine::with_packages();
    let daemon = machine.daemon_pid();
    machine.sh(&format!("cp {FILE} /var/tmp/good.toml; printf '\nmax_pol_size = 3\n' >> {FILE}"));
    let (reloaded, reported) = output(&machine, "systemctl reload flying-passenger");
    assert!(!reloaded && reported.contains("flying-passenger.service failed"), "{reported}");
    let reason = "unknown option \"max_pol_size\"; did you mean \"max_pool_size\"?";
    let (_, status) = output(&machine, "systemctl status --no-pager -l flying-passenger");
    assert!(status.contains(reason) && status.contains("active (running)"), "{status}");
    assert_eq!(machine.daemon_pid(), daemon, "the daemon continues");

    // A signal that was sent by other means has no exit status: the status line says it.
    machine.sh("systemctl kill --kill-whom=main --signal=HUP flying-passenger");
    let status_line = || machine.sh("systemctl show -P StatusText flying-passenger");
    eventually("the status line has the reason", || {
        status_line().contains("the configuration is unchanged: ") && status_line().contains(reason)
    });
    machine.sh(&format!("cp /var/tmp/good.toml {FILE}; systemctl reload flying-passenger"));
    eventually("the status line is the usual one", || status_line().starts_with("listening on "));
    assert_eq!(machine.daemon_pid(), daemon);
}

#[test]
fn a_second_daemon_on_the_socket_of_systemd_names_its_unit() {
    if !can_boot("a_second_daemon_on_the_socket_of_systemd_names_its_unit") {
        return;
    }
    let machine = Machine::with_packages();
    let by_hand = "flying-passenger --socket-file=/run/flying-passenger.sock";
    let daemon = machine.daemon_pid();
    let (started, reported) = output(&machine, by_hand);
    let running = format!("the process with PID {daemon} is already listening on /run/flying-passenger.sock");
    assert!(!started && reported.contains(&running), "{reported}");

    machine.sh("systemctl stop flying-passenger.service 2>&1");
    let (started, reported) = output(&machine, by_hand);
    let remedy = "systemd is already listening on /run/flying-passenger.sock, for a .socket unit: stop that first \
                  (systemctl stop flying-passenger.socket), or start the daemon with systemctl start flying-passenger";
    assert!(!started && reported.contains(remedy), "{reported}");
    machine.sh("systemctl stop flying-passenger.socket 2>&1");
    machine.sh(&format!("{by_hand} --daemonize --log-file=/var/log/by-hand.log --pid-file=/run/by-hand.pid"));
    machine.sh("kill $(cat /run/by-hand.pid)");
}
