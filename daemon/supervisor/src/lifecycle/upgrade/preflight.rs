//! Preflight of an upgrade: starts the new program with the daemon's command line; it reads the configuration and
//! answers. Options that only a restart can change must be unchanged.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd;

use super::{Upgrade, argv};
use common::config::Options;

/// How long the new program may take; it only reads the configuration.
const TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

impl Upgrade {
    /// Checks that the new program can take over.
    ///
    /// # Errors
    ///
    /// A message that says why the new program cannot take over.
    pub(crate) fn check_successor(&self, current: &Options) -> Result<(), String> {
        let read = current.read_again();
        unistd::chdir("/").map_err(|why| format!("cannot change the working directory: {why}"))?;
        let options = read.map_err(|mistakes| {
            let messages: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
            format!("the configuration is invalid: {}", messages.join("; "))
        })?;
        let changed = current.fixed_that_differ(&options);
        if !changed.is_empty() {
            let verb = if changed.len() == 1 { "has" } else { "have" };
            let changed = changed.join(", ");
            return Err(format!("{changed} {verb} changed, which takes effect when the daemon is restarted"));
        }
        let program = self.program().map_err(|why| why.to_string())?;
        let mut words = argv::preflight().into_iter();
        let mut command = Command::new(&program);
        words.next().map(|name| std::os::unix::process::CommandExt::arg0(&mut command, name));
        command.args(words).current_dir(current.directory());
        let (ended, output) = run(command).map_err(|why| format!("{}: {why}", program.display()))?;
        match ended {
            Some(ended) if ended.success() => Ok(()),
            Some(ended) => Err(format!("{} cannot take over: {ended}: {}", program.display(), output.trim())),
            None => Err(format!("{} has not answered within {} s", program.display(), TIMEOUT.as_secs())),
        }
    }
}

/// Runs the program; returns its exit status, `None` if it did not end in time, and its output.
fn run(mut command: Command) -> io::Result<(Option<ExitStatus>, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let until = Instant::now() + TIMEOUT;
    let ended = loop {
        match child.try_wait()? {
            None if Instant::now() < until => thread::sleep(PAUSE),
            None => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            ended => break ended,
        }
    };
    let mut output = Vec::new();
    if let Some(pipe) = child.stderr.take() {
        // It has ended, but its children may hold the other end.
        const MOST: u64 = 4096;
        common::sys::descriptors::set_nonblocking(&pipe)?;
        match pipe.take(MOST).read_to_end(&mut output) {
            Err(why) if why.kind() != io::ErrorKind::WouldBlock => return Err(why),
            _ => {}
        }
    }
    Ok((ended, String::from_utf8_lossy(&output).into_owned()))
}
