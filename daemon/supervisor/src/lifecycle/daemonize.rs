//! `--daemonize`: the program that was called waits until the daemon takes connections, or tells why it does not.
//!
//! A pipe carries the outcome: one `+` when the daemon is up, else the sentence that the operator is to read.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use nix::fcntl::OFlag;
use nix::unistd;

use common::sys::descriptors;
use common::sys::process;
use common::sys::process::Forked;

/// What the pipe says when all is well.
const UP: &[u8] = b"+";

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Side {
    /// The one that was called: it is to exit with this.
    Caller(ExitCode),
    /// The one that becomes the daemon.
    Daemon(Caller),
}

/// Whoever waits for the daemon to be up.
#[derive(Debug)]
pub struct Caller(File);

/// Goes on in a process of its own session, without the terminal.
///
/// # Errors
///
/// What the kernel says when there is no pipe or no process to be had.
pub fn begin() -> io::Result<Side> {
    let (outcome, caller) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    match process::fork()? {
        Forked::Parent(_child) => {
            drop(caller);
            wait_for(outcome).map(Side::Caller)
        }
        Forked::Child => {
            drop(outcome);
            unistd::setsid()?;
            descriptors::close_standard_ones()?;
            Ok(Side::Daemon(Caller(caller.into())))
        }
    }
}

fn wait_for(outcome: OwnedFd) -> io::Result<ExitCode> {
    let mut said = Vec::new();
    File::from(outcome).read_to_end(&mut said)?;
    if said == UP {
        return Ok(ExitCode::SUCCESS);
    }
    let why = match String::from_utf8_lossy(&said).trim() {
        "" => "it ended while it started; its log may tell why".to_owned(),
        why => why.to_owned(),
    };
    eprintln!("flying-passenger: the daemon cannot start: {why}");
    Ok(ExitCode::FAILURE)
}

impl Caller {
    /// The daemon is up.
    pub(crate) fn up(mut self) {
        // Somebody who does not wait any more needs no answer.
        let _ = self.0.write_all(UP);
    }

    /// It does not start.
    pub(crate) fn failed(mut self, why: &str) {
        let _ = self.0.write_all(why.as_bytes());
    }
}
