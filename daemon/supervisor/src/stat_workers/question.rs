//! Questions to stat workers and the answers: metadata of apps' files, and users' names. The only file of an app that is
//! opened is its environment file, with the rights of the app's user.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::spawn::{self, Policy, Precheck, Refusal, ResolvedApp, check_users};
use super::restart_files::{self, RestartFilesCheck};
use common::config::UserOptions;
use common::sys::dir_watch;

/// A question to a stat worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Question {
    /// The restart files in this directory.
    RestartFiles(PathBuf),
    /// No check: removes watches that checks of restart files have added.
    Unwatch(Vec<i32>),
    /// Whether an app is at its configured path, and which user it runs as.
    App(Box<Precheck>),
    /// Whether nginx's default user and group can be used.
    Users(UserOptions, Policy),
}

/// The answer of a stat worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    RestartFiles(RestartFilesCheck),
    Unwatched,
    App(Result<ResolvedApp, Refusal>),
    Users(Result<(), String>),
}

impl Question {
    /// Returns the directory that contains everything to be checked; for users, the file that lists them.
    pub(super) fn dir(&self) -> &Path {
        match self {
            Self::RestartFiles(dir) => dir,
            Self::App(precheck) => precheck.root(),
            Self::Users(..) => Path::new("/etc/passwd"),
            Self::Unwatch(_) => Path::new("/"),
        }
    }

    /// Returns the time limit: a request waits for restart files, and a start may wait for a slow network.
    pub(super) fn timeout(&self) -> Duration {
        match self {
            Self::RestartFiles(_) | Self::Unwatch(_) => Duration::from_secs(5),
            Self::App(_) | Self::Users(..) => Duration::from_secs(15),
        }
    }

    /// Returns what is wrong when there is no answer.
    pub(crate) fn timeout_message(&self) -> String {
        let dir = self.dir().display();
        match self {
            Self::RestartFiles(_) => format!("{dir} does not answer: the file system hangs"),
            Self::Unwatch(_) => "the end of watches of restart files does not answer".to_owned(),
            Self::Users(users, _) => {
                let user = &users.default_user;
                format!("the lookup of user \"{user}\" does not answer: the directory service hangs")
            }
            Self::App(_) => {
                format!(
                    "{dir}, or the lookup of its user, does not answer: a file system or directory service hangs"
                )
            }
        }
    }

    /// Whether the worker needs the inotify instance.
    pub(super) fn watches(&self) -> bool {
        matches!(self, Self::RestartFiles(_) | Self::Unwatch(_))
    }

    /// Performs the check. On a file system that hangs, it blocks as long as the file system hangs.
    /// `inotify` is the supervisor's instance, to which watches are added.
    pub(super) fn answer(&self, inotify: Option<OwnedFd>) -> Answer {
        match self {
            Self::RestartFiles(dir) => Answer::RestartFiles(restart_files::check(dir, inotify.as_ref())),
            Self::Unwatch(watches) => {
                let inotify = inotify.as_ref();
                watches
                    .iter()
                    .for_each(|watch| inotify.into_iter().for_each(|from| dir_watch::remove(from, *watch)));
                Answer::Unwatched
            }
            Self::Users(users, policy) => Answer::Users(check_users(users, policy)),
            Self::App(precheck) => Answer::App(spawn::answer(precheck)),
        }
    }
}
