//! Checks of the daemon's requirements and of the running daemons.

use std::path::Path;
use std::process::Command;

use nix::unistd;

use super::Verdict;
use crate::client::Client;
use crate::installation::Installation;
use crate::{instances, registries};
use common::config::{MAKE_ROUTER_USER, ROUTER_USER};
use common::instance;
use common::instance::Found;
use common::sys::accounts;

const UNITS: [&str; 2] = ["flying-passenger.socket", "flying-passenger.service"];
const UNIT_PLACES: [&str; 3] = ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"];

/// Checks the user of the router, the part of the daemon that reads untrusted input.
pub(super) fn router_user(_: &Installation) -> Verdict {
    if !unistd::geteuid().is_root() {
        return Verdict::Skipped("without root, all processes run as you".to_owned());
    }
    match accounts::user_named(ROUTER_USER) {
        Ok(Some(_)) => Verdict::Ok(ROUTER_USER.to_owned()),
        Ok(None) => Verdict::Failed(format!(
            "the user \"{ROUTER_USER}\" does not exist. A daemon that is started as root requires it, unless \
             --router-user specifies another dedicated user.\nRun: {MAKE_ROUTER_USER}"
        )),
        Err(err) => Verdict::Failed(err.to_string()),
    }
}

/// Checks the registry of daemons started by the caller.
pub(super) fn registry(_: &Installation) -> Verdict {
    let all = registries();
    let Some(registry) = all.first() else { return Verdict::Skipped("there is none".to_owned()) };
    let path = registry.display();
    match instance::check_registry(registry) {
        Ok(true) => Verdict::Ok(path.to_string()),
        Ok(false) => Verdict::Ok(format!("{path} will be created when a daemon starts")),
        Err(err) => Verdict::Failed(format!(
            "{err}\nRemove it while no daemon runs; it is created again when a daemon starts."
        )),
    }
}

/// Checks our systemd units, if systemd runs and they are installed.
pub(super) fn units(_: &Installation) -> Verdict {
    let is_unit = |name: &str| UNIT_PLACES.iter().any(|place| Path::new(place).join(name).exists());
    if !Path::new("/run/systemd/system").exists() {
        return Verdict::Skipped("systemd is not running".to_owned());
    }
    if !UNITS.into_iter().all(is_unit) {
        return Verdict::Skipped("the units are not installed".to_owned());
    }
    let is_active = |unit: &&str| {
        let status = Command::new("systemctl").args(["--quiet", "is-active", unit]).status();
        status.is_ok_and(|status| status.success())
    };
    let inactive: Vec<_> = UNITS.into_iter().filter(|unit| !is_active(unit)).collect();
    if inactive.is_empty() {
        return Verdict::Ok(format!("{} are active", UNITS.join(" and ")));
    }
    let units = inactive.join(" ");
    Verdict::Failed(format!(
        "not active: {units}\nRun: systemctl start {units}; for the reason: journalctl -u flying-passenger"
    ))
}

/// Checks that each registered daemon responds to its tools.
pub(super) fn respond(_: &Installation) -> Verdict {
    let all = instances();
    if all.is_empty() {
        return Verdict::Warned(
            "no daemon is running, or this user cannot find it.\nRun: systemctl start flying-passenger, or \
             flying-passenger --socket-file=/run/flying-passenger.sock"
                .to_owned(),
        );
    }
    let failure = |found: &Found| {
        let err = Client::new(found).get_json("/ping.json").err()?;
        Some(format!("{} (PID {}): {err}", found.properties.name, found.properties.pid))
    };
    let failures: Vec<_> = all.iter().filter_map(failure).collect();
    if failures.is_empty() {
        return Verdict::Ok(format!("{} daemon(s)", all.len()));
    }
    Verdict::Failed(format!("{}\nCheck the daemon's log.", failures.join("\n")))
}

/// Checks for daemons that still run another release after an upgrade.
pub(super) fn are_of_this_release(_: &Installation) -> Verdict {
    const RELEASE: &str = env!("CARGO_PKG_VERSION");
    let all = instances();
    let other = all.iter().find(|found| found.properties.version != RELEASE);
    match other.map(|found| &found.properties) {
        None if all.is_empty() => Verdict::Skipped("no daemon is running".to_owned()),
        None => Verdict::Ok(RELEASE.to_owned()),
        Some(daemon) => Verdict::Warned(format!(
            "the daemon with PID {} is of release {}, but {RELEASE} is installed.\nRestart it at a convenient time: \
             systemctl restart flying-passenger",
            daemon.pid, daemon.version
        )),
    }
}
