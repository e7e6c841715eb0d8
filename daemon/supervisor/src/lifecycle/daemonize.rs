//! `--daemonize`: the started program waits until the daemon accepts connections, or reports why it does not.
//!
//! A pipe carries the outcome: one `+` when the daemon is up, otherwise the error message for the operator.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use nix::fcntl::OFlag;
use nix::unistd;

use common::sys::descriptors;
use common::sys::process::{self, Forked};

/// Written to the pipe when the daemon is up.
const UP: &[u8] = b"+";

/// One of the two processes after the fork.
#[derive(Debug)]
pub enum Side {
    /// The started program, which has to exit with this code.
    Caller(ExitCode),
    /// The process that becomes the daemon.
    Daemon(Caller),
}

/// The process that waits for the daemon to be up.
#[derive(Debug)]
pub struct Caller(File);

/// Forks and continues in a process with a separate session and without the terminal.
///
/// # Errors
///
/// Errors of the kernel when no pipe or process can be created.
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
    let mut message = Vec::new();
    File::from(outcome).read_to_end(&mut message)?;
    if message == UP {
        return Ok(ExitCode::SUCCESS);
    }
    let why = match String::from_utf8_lossy(&message).trim() {
        "" => "it ended during its start; see its log".to_owned(),
        why => why.to_owned(),
    };
    eprintln!("flying-passenger: the daemon cannot start: {why}");
    Ok(ExitCode::FAILURE)
}

impl Caller {
    /// Reports that the daemon is up.
    pub(crate) fn up(mut self) {
        // A process that no longer waits needs no answer.
        let _ = self.0.write_all(UP);
    }

    /// Reports why the daemon does not start.
    pub(crate) fn failed(mut self, why: &str) {
        let _ = self.0.write_all(why.as_bytes());
    }
}
