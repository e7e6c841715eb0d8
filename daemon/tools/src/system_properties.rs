//! `passenger-config system-properties`: facts about the machine as JSON, for remote support.

use std::fs;
use std::process::{Command, ExitCode};

use clap::Args;
use serde_json::{Map, Value, json};

use super::Outcome;
use super::installation::Installation;

/// Shows facts of the machine.
#[derive(Debug, Args)]
pub struct SystemProperties {}

impl SystemProperties {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Outcome {
        let facts = facts(&Installation::of_this_program()?);
        println!("{}", serde_json::to_string_pretty(&facts).map_err(|err| err.to_string())?);
        Ok(ExitCode::SUCCESS)
    }
}

fn facts(installation: &Installation) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let exists = |path: &str| fs::exists(path).unwrap_or(false);
    let memory = read("/proc/meminfo");
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "installed": installation.is_installed(),
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "kernel": read("/proc/sys/kernel/osrelease"),
        "distribution": distribution(&read("/etc/os-release")),
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_kib": memory.unwrap_or(0_u64),
        "cgroup_version": if exists("/sys/fs/cgroup/cgroup.controllers") { 2 } else { 1 },
        "systemd": exists("/run/systemd/system"),
        "somaxconn": read("/proc/sys/net/core/somaxconn").parse().unwrap_or(0_u32),
        "uid": nix::unistd::geteuid().as_raw(),
        "programs": programs(),
    })
}

/// Returns `ID`, `VERSION_ID` and `PRETTY_NAME` of os-release.
fn distribution(os_release: &str) -> Value {
    let field = |name: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|text| text.trim_matches('"').to_owned())
    };
    json!({ "id": field("ID"), "version": field("VERSION_ID"), "name": field("PRETTY_NAME") })
}

/// Returns the versions of the programs found in PATH, `null` for those not found.
fn programs() -> Value {
    let all = [("nginx", "-v"), ("ruby", "-v"), ("python3", "-V"), ("node", "-v"), ("bundle", "-v")];
    let facts = all.map(|(program, flag)| (program.to_owned(), json!(version(program, flag))));
    Value::Object(Map::from_iter(facts))
}

/// Returns the first line that the program prints about its version, on either output.
pub(super) fn version(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok().filter(|output| output.status.success())?;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&said).lines().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_named() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        let expected = json!({ "id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)" });
        assert_eq!(distribution(debian), expected);
        assert_eq!(distribution("")["id"], Value::Null);
    }
}
