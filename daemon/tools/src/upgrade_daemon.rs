//! `passenger-config upgrade-daemon`: has the installed program take over from the running one, and waits for the result.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::client::Client;
use super::instance_arg::InstanceArg;
use super::{list, printable, text};
use common::instance;
use supervisor::{FORBIDDEN, UpgradeReport, UpgradeResult};

/// Pause between two looks at the result.
const PAUSE: Duration = Duration::from_millis(50);

/// Has the installed program take over.
#[derive(Debug, Args)]
pub(crate) struct UpgradeDaemon {
    /// Maximum seconds to wait; requests finish first
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    #[command(flatten)]
    instance: InstanceArg,
}

impl UpgradeDaemon {
    /// Runs the command. An upgrade that is refused is a failure; the daemon then serves as before.
    pub(super) fn run(&self) -> Result<(), String> {
        let client = self.instance.client()?;
        let until = Instant::now() + Duration::from_secs(self.timeout);
        let before = UpgradeReport::of(&client.found)?;
        if before.as_ref().is_some_and(|report| report.result == UpgradeResult::InProgress) {
            return Err("an upgrade of this daemon is in progress already".to_owned());
        }
        let processes = processes(&client)?;
        signal(&client)?;
        let (from, to) = self.wait(&client, before.map_or(0, |report| report.attempt), until)?;
        self.wait_for_answer(&client, &to, until)?;
        println!(
            "flying-passenger {} is replaced by {}; its PID is still {}.",
            printable(&from),
            printable(&to),
            client.found.properties.pid
        );
        show_processes(&processes, &self::processes(&client)?);
        Ok(())
    }

    /// Waits for the result of an attempt after the one of this number; returns both releases.
    fn wait(&self, client: &Client, before: u32, until: Instant) -> Result<(String, String), String> {
        loop {
            let report = UpgradeReport::of(&client.found).ok().flatten();
            match report.filter(|report| report.attempt > before).map(|report| report.result) {
                Some(UpgradeResult::Done { from, to }) => return Ok((from, to)),
                Some(UpgradeResult::Failed(why)) => {
                    return Err(format!(
                        "the daemon was not upgraded and serves as before: {}",
                        printable(&why)
                    ));
                }
                Some(UpgradeResult::InProgress) | None if !is_running(client) => {
                    return Err("the daemon has ended; its log has the reason".to_owned());
                }
                Some(UpgradeResult::InProgress) if Instant::now() > until => {
                    return Err(format!(
                        "the upgrade has not finished within {} s, as requests are in progress (passenger-status \
                         --show=requests); it continues",
                        self.timeout
                    ));
                }
                None if Instant::now() > until => {
                    return Err(format!(
                        "no result within {} s: the running release may be too old to report it; see its log",
                        self.timeout
                    ));
                }
                Some(UpgradeResult::InProgress) | None => thread::sleep(PAUSE),
            }
        }
    }

    fn wait_for_answer(&self, client: &Client, release: &str, until: Instant) -> Result<(), String> {
        loop {
            let answer = client.get_json("/info.json");
            match answer {
                Ok(info) if text(&info, "version") == release => return Ok(()),
                _ if Instant::now() <= until => thread::sleep(PAUSE),
                Ok(info) => return Err(format!("release {} answers", text(&info, "version"))),
                Err(why) => {
                    return Err(format!("the new program has taken over, but does not answer: {why}"));
                }
            }
        }
    }
}

/// Asks the daemon to upgrade. Only root and the daemon's user may.
fn signal(client: &Client) -> Result<(), String> {
    let pid = client.found.properties.pid;
    let raw = i32::try_from(pid).map_err(|_| format!("the PID {pid} of the daemon is not valid"))?;
    let process = procfs::process::Process::new(raw).and_then(|process| process.stat());
    let is_daemon = process.is_ok_and(|stat| stat.comm.starts_with("flying-passenge"));
    if !is_daemon {
        return Err(format!("the process {pid} is not the daemon"));
    }
    kill(Pid::from_raw(raw), Signal::SIGUSR2).map_err(|why| match why {
        Errno::EPERM => FORBIDDEN.to_owned(),
        why => format!("cannot send a signal to the daemon: {why}"),
    })
}

/// Whether the instance is still alive.
fn is_running(client: &Client) -> bool {
    let registry = client.found.path.parent().and_then(|registry| instance::list(registry).ok());
    registry.is_some_and(|all| all.iter().any(|found| found.path == client.found.path))
}

/// Returns the PIDs of the app processes.
fn processes(client: &Client) -> Result<BTreeSet<u64>, String> {
    let pool = client.get_json("/pool.json")?;
    let processes = list(&pool, "groups").iter().flat_map(|group| list(group, "processes"));
    Ok(processes.filter_map(|process: &Value| process["pid"].as_u64()).collect())
}

fn show_processes(before: &BTreeSet<u64>, after: &BTreeSet<u64>) {
    let ended: Vec<_> = before.difference(after).map(u64::to_string).collect();
    let kept = before.len() - ended.len();
    match &ended[..] {
        [] => println!("{kept} app processes were kept, with their PIDs."),
        _ => println!("{kept} app processes were kept; meanwhile these have ended: {}.", ended.join(", ")),
    }
}
