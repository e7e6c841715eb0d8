//! The pipes between a process and the daemon: its owner pipe, its output, and the report of its start.

use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::unistd;

use super::listener::AppListener;
use common::sys::descriptors;

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
pub(super) fn make() -> io::Result<(Pipes, ChildPipes)> {
    let (owner_read, owner_write) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (output_read, output_write) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    let (report_read, report_write) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    // For the router, which shares these open file descriptions.
    descriptors::set_nonblocking(&output_read)?;
    descriptors::set_nonblocking(&report_read)?;
    let ours = Pipes { owner: owner_write, output: output_read, report: report_read };
    Ok((ours, ChildPipes { owner: owner_read, output: output_write, report: report_write }))
}
