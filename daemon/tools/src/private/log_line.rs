//! A line of the private daemon's log, which is in the JSON format.

use std::fmt;

use serde::Deserialize;

use crate::printable;

/// The parts of a log record that the doctor uses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogLine {
    pub(crate) level: String,
    pub(crate) message: String,
    /// The kind of event, if programs may rely on it.
    pub(crate) event: String,
    /// The value that belongs to the event.
    pub(crate) detail: String,
    /// The part of the daemon that logged the message.
    pub(crate) part: String,
    /// Why a start failed, and what to do, if the daemon knows it.
    pub(crate) cause: String,
    pub(crate) remedy: String,
    /// Facts about a failed start, a line that begins with [`BEFORE_BACKTRACE`], and the backtrace.
    pub(crate) details: String,
    /// The app process that printed the message.
    pub(crate) app_pid: Option<i32>,
}

/// Begins the last line before the backtrace of a failed start.
const BEFORE_BACKTRACE: &str = "more: ";

impl LogLine {
    /// Returns the lines of the backtrace of a failed start.
    pub(crate) fn backtrace(&self) -> impl Iterator<Item = &str> {
        self.details.lines().skip_while(|line| !line.starts_with(BEFORE_BACKTRACE)).skip(1)
    }

    /// Parses a line. Anything but a log record is an error that occurred before the daemon had set up its log.
    pub(crate) fn parse(line: &[u8]) -> Self {
        serde_json::from_slice(line).unwrap_or_else(|_| Self {
            level: "error".to_owned(),
            message: String::from_utf8_lossy(line).into_owned(),
            ..Self::default()
        })
    }

    /// Returns the value of an event; `None` if the line is about something else.
    pub(crate) fn detail_of(&self, event: &str) -> Option<&str> {
        (self.event == event).then_some(self.detail.as_str())
    }

    /// Whether the daemon reports an error.
    pub(crate) fn is_error(&self) -> bool {
        matches!(self.level.as_str(), "error" | "crit")
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.lines().map(printable).collect::<Vec<_>>().join("\n");
        match self.app_pid {
            Some(pid) => write!(f, "App {pid} output: {message}"),
            None => f.write_str(&message),
        }
    }
}
