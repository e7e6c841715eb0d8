//! `--daemonize`: this program again, without the terminal, while the caller waits until the app's address accepts
//! connections.

use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use nix::unistd;

use super::options::Options;
use super::running;
use crate::Outcome;

/// Marks the process in the background.
pub(super) const IN_BACKGROUND: &str = "FLYING_PASSENGER_IN_BACKGROUND";
/// Interval of checks whether the app runs.
const POLL_INTERVAL: Duration = Duration::from_millis(30);

/// Where this process runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Background(bool);

impl Background {
    /// Whether this process is the one in the background.
    pub(super) fn is_this_process() -> bool {
        std::env::var_os(IN_BACKGROUND).is_some()
    }

    /// Leaves the terminal if this process is the one in the background.
    pub(super) fn enter() -> Result<Self, String> {
        let is_background = Self::is_this_process();
        if is_background {
            unistd::setsid().map_err(|err| format!("cannot leave the terminal: {}", err.desc()))?;
        }
        Ok(Self(is_background))
    }

    /// Whether there is no terminal.
    pub(super) fn is_background(self) -> bool {
        self.0
    }

    /// Starts the process in the background and waits until the app runs.
    pub(super) fn start(options: &Options) -> Outcome {
        let program =
            std::env::current_exe().map_err(|err| format!("cannot find the path of this program: {err}"))?;
        let mut child = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(IN_BACKGROUND, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|err| format!("cannot start a process in the background: {err}"))?;
        loop {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(_)) => return Err(message(&mut child)),
                Err(err) => return Err(format!("cannot wait for the process in the background: {err}")),
            }
            let pid = child.id() as i32;
            if let Some(app) =
                running::find(&options.root).filter(|app| app.pid == pid && !app.url.is_empty())
            {
                println!("{}", app.url);
                let log = app.log_file.unwrap_or_default();
                println!("PID {pid}, log {}, stop it with: passenger stop", log.display());
                return Ok(ExitCode::SUCCESS);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Returns what the process has printed before it ended.
fn message(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut printed) = child.stderr.take() {
        // What was read so far is reported.
        let _ = printed.read_to_string(&mut text);
    }
    let text = text.trim();
    let text = text.strip_prefix("passenger: ").unwrap_or(text);
    if text.is_empty() {
        "the process in the background has ended; see its log".to_owned()
    } else {
        text.to_owned()
    }
}
