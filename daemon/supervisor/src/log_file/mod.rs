//! The log file, set by the operator or nginx: standard error of the supervisor, which copies the router's lines to it.
//!
//! If a file cannot be opened, nothing changes: the log continues in the current file.

pub(crate) mod app_logs;
mod open;
pub(crate) mod open_aside;
pub(crate) mod trust;

use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use open::{Refusal, open_any};
use serde::{Deserialize, Serialize};
pub(super) use trust::open_for_nginx;

use common::config::DaemonOption;
use common::config::shared::Values;
use common::log::{self, writer};
use common::sys::descriptors;
use common::sys::fd_handover::{HandoverReader, HandoverWriter};

/// The name of the option.
pub(super) const NAME: &str = "log_file";
/// Copies of standard error are above the descriptor numbers that children get.
const ABOVE_ALL: i32 = 16;

/// How long a change of the log waits until earlier lines are in the old file.
const OLD_FILE: Duration = Duration::from_secs(1);

/// The log of this daemon.
#[derive(Debug)]
pub(super) struct LogFile {
    /// Standard error as it was at the start.
    inherited: OwnedFd,
    place: Place,
}

/// A destination of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    /// Standard error as it was at the start.
    Inherited,
    /// The file of the daemon's own option.
    Own(PathBuf),
    /// The file of nginx's configuration.
    OfNginx(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherited => f.write_str("standard error"),
            Self::Own(path) | Self::OfNginx(path) => path.display().fmt(f),
        }
    }
}

/// The state of the log handed to the next program in the same process, whose standard error is already the log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedLog {
    inherited: RawFd,
    place: Place,
}

/// Why the log of the daemon cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the log file {0} cannot be opened: {1}")]
pub(crate) struct NoLog(Place, Refusal);

/// The result of a change of the log file.
#[derive(Debug)]
pub(super) enum Followed {
    Unchanged,
    Switched,
    /// The log continues in the old file. With the problem, if it is one of the daemon itself.
    Refused(Option<String>),
}

impl LogFile {
    /// Starts logging to the file of the daemon's own option.
    pub(super) fn begin(options: &[DaemonOption]) -> Result<Self, NoLog> {
        let own = Place::Own(Values(options).text(NAME).into());
        let inherited = descriptors::copy_above(io::stderr(), ABOVE_ALL);
        let inherited = inherited.map_err(|why| NoLog(Place::Inherited, Refusal::Call(why)))?;
        let mut log = Self { inherited, place: Place::Inherited };
        if Values(options).given(NAME) {
            log.open(&own).and_then(|file| log.switch(own.clone(), &file)).map_err(|why| NoLog(own, why))?;
        }
        Ok(log)
    }

    /// Packs it for the next program.
    pub(super) fn pack(&self, writer: &mut HandoverWriter) -> io::Result<PackedLog> {
        Ok(PackedLog { inherited: writer.pack(&self.inherited)?, place: self.place.clone() })
    }

    /// Unpacks that of the previous program.
    pub(super) fn unpack(packed: PackedLog, reader: &mut HandoverReader) -> io::Result<Self> {
        Ok(Self { inherited: reader.take(packed.inherited)?, place: packed.place })
    }

    /// Switches to the log file of the daemon's own option or, without one, of nginx; empty without either.
    pub(super) fn follow(&mut self, path: &str, is_own: bool) -> Followed {
        let place = match path {
            path if is_own => Place::Own(path.into()),
            "" => Place::Inherited,
            path => Place::OfNginx(path.into()),
        };
        if place == self.place {
            return Followed::Unchanged;
        }
        match self.reopen_at(place) {
            Ok(()) => Followed::Switched,
            Err(why) if is_own => {
                let what = format!("the log file {path} cannot be opened: {why}");
                tracing::warn!("the log file is unchanged: {what}");
                Followed::Refused(Some(what))
            }
            Err(why) => {
                tracing::warn!(
                    "ignoring passenger_log_file {path:?} from nginx: {why}; the daemon's own --log-file may be any \
                     file"
                );
                Followed::Refused(None)
            }
        }
    }

    /// Reopens the file after it was renamed, if there is one; the error says why the log continues in the old file.
    pub(super) fn reopen(&mut self) -> Option<Result<(), String>> {
        let place = self.place.clone();
        if place == Place::Inherited {
            tracing::info!("the log is standard error and is not reopened: --log-file names a file");
            return None;
        }
        Some(self.reopen_at(place.clone()).map_err(|why| {
            let what = format!(
                "the log file {place} cannot be reopened, and the log continues in the old one: {why}"
            );
            tracing::warn!("{what}");
            what
        }))
    }

    /// Switches the log to `place`, which another process opens, as the disk may hang.
    fn reopen_at(&mut self, place: Place) -> Result<(), Refusal> {
        let file = match &place {
            Place::Inherited => self.open(&place)?,
            Place::Own(_) | Place::OfNginx(_) => open_aside::opened(|| self.open(&place))?,
        };
        self.switch(place, &file)
    }

    /// Switches the log to `file`, which is open at `place`.
    fn switch(&mut self, place: Place, file: &OwnedFd) -> Result<(), Refusal> {
        if place != self.place {
            tracing::info!("the log continues in {place}");
        }
        // Earlier lines belong in the old file.
        writer::drain(OLD_FILE);
        descriptors::log_to(file).map_err(Refusal::Call)?;
        if writer::watched().is_some()
            && let Err(why) = log::start_writer()
        {
            tracing::warn!("cannot start the log writer, the supervisor writes the log itself: {why}");
        }
        tracing::info!("the log is now {place}");
        self.place = place;
        Ok(())
    }

    /// Returns the path of the file; empty without a file.
    pub(super) fn path(&self) -> String {
        match &self.place {
            Place::Inherited => String::new(),
            Place::Own(path) | Place::OfNginx(path) => path.display().to_string(),
        }
    }

    fn open(&self, place: &Place) -> Result<OwnedFd, Refusal> {
        match place {
            Place::Inherited => self.inherited.try_clone().map_err(Refusal::Call),
            Place::OfNginx(path) if nix::unistd::geteuid().is_root() => open_for_nginx(path),
            Place::Own(path) | Place::OfNginx(path) => open_any(path),
        }
    }
}
