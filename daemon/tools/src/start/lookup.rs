//! `passenger stop` and `passenger status`: find a running app by its directory or its port.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::arguments::app_directory;
use super::identity::leave_root;
use super::running::{self, RunningApp};
use crate::Outcome;
use common::sys::clock;

/// Maximum time until an app has stopped; longer than the daemon's shutdown timeout.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Stops an app that passenger start runs.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    app: AppArgument,
}

/// Shows whether passenger start runs an app. Exits with status 1 if not.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    app: AppArgument,
    /// Show all running apps of this user
    #[arg(long, conflicts_with_all = ["dir", "port"])]
    all: bool,
}

#[derive(Debug, Args)]
struct AppArgument {
    /// Directory of the app [default: the current directory]
    dir: Option<PathBuf>,
    /// The app that listens on this port, wherever it is
    #[arg(short, long, value_name = "PORT", conflicts_with = "dir")]
    port: Option<u16>,
    /// The user that the app runs as; requires root [default: the owner of the directory]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

impl AppArgument {
    /// Returns the running app.
    fn find(&self) -> Result<RunningApp, String> {
        let root = app_directory(self.dir.as_deref())?;
        leave_root(&root, self.user.as_deref())?;
        if let Some(port) = self.port {
            let found = running::all().into_iter().find(|app| app.port == port);
            return found.ok_or_else(|| format!("no app runs on port {port}{}", others()));
        }
        running::find(&root).ok_or_else(|| format!("no app runs in {}{}", root.display(), others()))
    }
}

/// Returns the other running apps, as the end of a message.
fn others() -> String {
    let all = running::all();
    if all.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = all.iter().map(|app| format!("\n  {}", line(app))).collect();
    format!("; running apps:{}", lines.concat())
}

fn line(app: &RunningApp) -> String {
    let url = if app.url.is_empty() { "starting" } else { &app.url };
    let seconds = clock::now_ms().saturating_sub(app.started_ms) / 1000;
    let log = app.log_file.as_ref().map(|path| format!(", log {}", path.display())).unwrap_or_default();
    format!(
        "{}: {url}, {}, PID {}, for {}{log}",
        app.root.display(),
        app.environment,
        app.pid,
        duration(seconds)
    )
}

fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {} min", minutes % 60),
    }
}

impl Stop {
    /// Ends the app and waits for it.
    pub(crate) fn run(&self) -> Outcome {
        let app = self.app.find()?;
        let ended = || running::find(&app.root).is_none_or(|now| now.pid != app.pid);
        // The lock was held just now, by this process.
        kill(Pid::from_raw(app.pid), Signal::SIGTERM)
            .map_err(|err| format!("cannot stop PID {}: {}", app.pid, err.desc()))?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !ended() {
            if Instant::now() > deadline {
                return Err(format!(
                    "{} does not stop; kill -9 {} ends it with all its processes",
                    app.root.display(),
                    app.pid
                ));
            }
            thread::sleep(Duration::from_millis(20));
        }
        println!("Stopped {}", app.root.display());
        Ok(ExitCode::SUCCESS)
    }
}

impl Status {
    /// Prints the app, or all apps.
    pub(crate) fn run(&self) -> Outcome {
        if !self.all {
            println!("{}", line(&self.app.find()?));
            return Ok(ExitCode::SUCCESS);
        }
        leave_root(&app_directory(None)?, self.app.user.as_deref())?;
        let all = running::all();
        if all.is_empty() {
            return Err("no app runs".into());
        }
        for app in &all {
            println!("{}", line(app));
        }
        Ok(ExitCode::SUCCESS)
    }
}
