//! What a stat worker is asked, and its answer: metadata of an app's files. Nothing is opened.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::restart_files;
use super::super::spawn::{Place, PlaceError, Spot};
use crate::link::RestartFiles;

/// What there is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) enum Question {
    /// The restart files in this directory.
    RestartFiles(PathBuf),
    /// Whether an app is where nginx says, and whose it is.
    Place(Spot),
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::supervisor) enum Answer {
    RestartFiles(RestartFiles),
    Place(Result<Place, PlaceError>),
}

impl Question {
    /// The directory that everything to be looked at is in.
    pub(super) fn dir(&self) -> &Path {
        match self {
            Self::RestartFiles(dir) => dir,
            Self::Place(spot) => &spot.root,
        }
    }

    /// Looks. On a file system that hangs, that takes until it does not any more.
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::RestartFiles(dir) => Answer::RestartFiles(restart_files::look(dir)),
            Self::Place(spot) => Answer::Place(Place::look(spot)),
        }
    }
}
