//! The way requests reach a process: its listener, its address and the descriptors that the child receives.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::login_shell::Numbers;
use common::link::Address;

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
