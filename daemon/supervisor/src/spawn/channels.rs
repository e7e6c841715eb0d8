//! What connects a process with the daemon: its listener and address, and the pipes for its owner, its output and the
//! report of its start.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd;

use super::login_shell::Numbers;
use common::link::Address;
use common::sys::descriptors;

/// How requests reach a process.
pub(super) enum AppListener {
    /// A socket that the loader receives, with a pipe for its report.
    Socket(PathBuf, OwnedFd),
    /// A socket that a generic app receives as from systemd.
    Listener(PathBuf, OwnedFd),
    /// A socket that the app opens itself.
    Own(PathBuf),
    /// A port that the app opens itself.
    Port(u16),
    /// None: it is a preloader, and receives fork orders on this socket.
    Control(OwnedFd),
}

impl AppListener {
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Self::Port(port) => Some(*port),
            _ => None,
        }
    }

    pub(super) fn own_socket(&self) -> Option<&Path> {
        match self {
            Self::Own(path) => Some(path),
            _ => None,
        }
    }

    /// Returns the descriptor numbers for a process started by a shell: see `ChildPipes::for_child`.
    pub(super) fn numbers(&self) -> Numbers {
        match self {
            Self::Socket(..) | Self::Control(_) => Numbers { variables: 5, report: Some(4) },
            Self::Listener(..) => Numbers { variables: 4, report: None },
            Self::Port(_) | Self::Own(_) => Numbers { variables: 3, report: None },
        }
    }

    pub(super) fn address(&self) -> Address {
        match self {
            Self::Socket(path, _) | Self::Listener(path, _) => Address::Unix(path.clone()),
            Self::Own(path) => Address::Own(path.clone()),
            Self::Port(port) => Address::Tcp(*port),
            Self::Control(_) => Address::Nowhere,
        }
    }
}

/// The supervisor's ends of a process's pipes.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// Closing it asks the process to end.
    pub(crate) owner: OwnedFd,
    /// The output of the process.
    pub(crate) output: OwnedFd,
    /// The report of its start.
    pub(crate) report: OwnedFd,
}

/// The child's ends of its pipes.
pub(super) struct ChildPipes {
    pub(super) owner: OwnedFd,
    pub(super) output: OwnedFd,
    pub(super) report: OwnedFd,
}

impl ChildPipes {
    /// Returns the descriptors from 0 up, and the one for failures before `exec`. A generic app gets no report pipe:
    /// all copies are close-on-exec, so its end of file means that the program was started.
    pub(super) fn for_child(
        self,
        listener: AppListener,
        variables: Option<OwnedFd>,
    ) -> io::Result<(Vec<OwnedFd>, OwnedFd)> {
        let mut descriptors = vec![self.owner, self.output.try_clone()?, self.output];
        match listener {
            AppListener::Socket(_, socket) | AppListener::Control(socket) => {
                descriptors.push(socket);
                descriptors.push(self.report.try_clone()?);
            }
            AppListener::Listener(_, socket) => descriptors.push(socket),
            AppListener::Port(_) | AppListener::Own(_) => {}
        }
        descriptors.extend(variables);
        Ok((descriptors, self.report))
    }
}

/// Creates the pipes and returns both ends of each.
pub(super) fn make_pipes() -> io::Result<(Pipes, ChildPipes)> {
    let (owner_read, owner_write) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (output_read, output_write) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (report_read, report_write) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    // For the router, which shares these open file descriptions.
    descriptors::set_nonblocking(&output_read)?;
    descriptors::set_nonblocking(&report_read)?;
    let ours = Pipes { owner: owner_write, output: output_read, report: report_read };
    Ok((ours, ChildPipes { owner: owner_read, output: output_write, report: report_write }))
}
