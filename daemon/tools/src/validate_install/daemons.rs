//! Checks of the daemon's requirements and of the running daemons.

use std::path::Path;
use std::process::Command;

use nix::unistd;

use super::Verdict;
use crate::installation::Installation;
use crate::{Client, expect_success, instances, registries};
use common::config::{MAKE_ROUTER_USER, ROUTER_USER};
use common::instance;
use common::sys::accounts;

const UNITS: [&str; 2] = ["flying-passenger.socket", "flying-passenger.service"];
const UNIT_PLACES: [&str; 3] = ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"];

/// Checks the user of the router, the part that reads untrusted input.
pub(super) fn router_user(_: &Installation) -> Verdict {
    if !unistd::geteuid().is_root() {
        return Verdict::Skipped("without root, everything runs as you".to_owned());
    }
    match accounts::user_named(ROUTER_USER) {
        Ok(Some(_)) => Verdict::Fine(ROUTER_USER.to_owned()),
        Ok(None) => Verdict::Failed(format!(
            "there is no user \"{ROUTER_USER}\", and a daemon of root does not start without one, unless --router-user \
             names another that runs nothing else.\nRun: {MAKE_ROUTER_USER}"
        )),
        Err(why) => Verdict::Failed(why.to_string()),
    }
}

/// Checks the registry of daemons started by the caller.
pub(super) fn registry(_: &Installation) -> Verdict {
    let all = registries();
    let Some(registry) = all.first() else { return Verdict::Skipped("there is none".to_owned()) };
    let shown = registry.display();
    match instance::check_registry(registry) {
        Ok(true) => Verdict::Fine(shown.to_string()),
        Ok(false) => Verdict::Fine(format!("{shown} is made when a daemon starts")),
        Err(why) => Verdict::Failed(format!(
            "{why}\nRemove it while no daemon runs: the next one that starts makes it anew."
        )),
    }
}

/// Checks our systemd units, if systemd runs and they are installed.
pub(super) fn units(_: &Installation) -> Verdict {
    let is_unit = |name: &str| UNIT_PLACES.iter().any(|place| Path::new(place).join(name).exists());
    if !Path::new("/run/systemd/system").exists() {
        return Verdict::Skipped("systemd does not run here".to_owned());
    }
    if !UNITS.into_iter().all(is_unit) {
        return Verdict::Skipped("the units are not installed".to_owned());
    }
    let is_active = |unit: &&str| {
        let asked = Command::new("systemctl").args(["--quiet", "is-active", unit]).status();
        asked.is_ok_and(|status| status.success())
    };
    let resting: Vec<_> = UNITS.into_iter().filter(|unit| !is_active(unit)).collect();
    if resting.is_empty() {
        return Verdict::Fine(format!("{} run", UNITS.join(" and ")));
    }
    let units = resting.join(" ");
    Verdict::Failed(format!(
        "not active: {units}\nRun: systemctl start {units}, and see why it ended: journalctl -u flying-passenger"
    ))
}

/// Checks that each registered daemon responds to its tools.
pub(super) fn answer(_: &Installation) -> Verdict {
    let all = instances();
    if all.is_empty() {
        return Verdict::Warned(
            "no daemon runs, or none where this user looks.\nStart it: systemctl start flying-passenger, or \
             flying-passenger --socket-file=/run/flying-passenger.sock"
                .to_owned(),
        );
    }
    let mut silent = Vec::new();
    for found in &all {
        let asked = Client::new(found).get("/ping.json").map_err(|why| why.to_string());
        if let Err(why) = asked.and_then(|reply| expect_success(&reply)) {
            let properties = &found.properties;
            silent.push(format!("{} (PID {}): {why}", properties.name, properties.pid));
        }
    }
    if silent.is_empty() {
        return Verdict::Fine(format!("{} daemon(s)", all.len()));
    }
    Verdict::Failed(format!("{}\nThe daemon's log says why.", silent.join("\n")))
}

/// Checks for daemons that still run another release after an upgrade.
pub(super) fn are_of_this_release(_: &Installation) -> Verdict {
    const RELEASE: &str = env!("CARGO_PKG_VERSION");
    let all = instances();
    let other = all.iter().find(|found| found.properties.version != RELEASE);
    match other.map(|found| &found.properties) {
        None if all.is_empty() => Verdict::Skipped("no daemon runs".to_owned()),
        None => Verdict::Fine(RELEASE.to_owned()),
        Some(daemon) => Verdict::Warned(format!(
            "the daemon with PID {} is of release {}, and {RELEASE} is installed.\nRestart it when that suits you: \
             systemctl restart flying-passenger",
            daemon.pid, daemon.version
        )),
    }
}
