//! The content of a log line, collected from `tracing`'s fields: message, severity and origin.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::explanation::Explanation;

/// The severity, with Passenger's letters and syslog's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Critical,
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

impl Severity {
    fn of(level: Level, critical: bool) -> Self {
        match level {
            Level::ERROR if critical => Self::Critical,
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Notice,
            Level::DEBUG => Self::Info,
            Level::TRACE => Self::Debug,
        }
    }

    /// Returns Passenger's letter.
    pub(super) fn letter(self) -> char {
        self.names().0
    }

    /// Returns the priority of syslog(3).
    pub(super) fn priority(self) -> u8 {
        self.names().1
    }

    /// Returns the name for JSON.
    pub(super) fn name(self) -> &'static str {
        self.names().2
    }

    fn names(self) -> (char, u8, &'static str) {
        match self {
            Self::Critical => ('C', 2, "crit"),
            Self::Error => ('E', 3, "error"),
            Self::Warning => ('W', 4, "warn"),
            Self::Notice => ('N', 5, "notice"),
            Self::Info => ('I', 6, "info"),
            Self::Debug => ('D', 7, "debug"),
        }
    }
}

/// The content of an event.
#[derive(Debug)]
pub(super) struct LogRecord<'e> {
    /// The message, followed by its other fields. It may contain control characters.
    pub(super) text: String,
    pub(super) severity: Severity,
    /// The module that logged it, without the crate's name.
    pub(super) module: &'e str,
    /// The app that the line is about, or whose process printed it.
    pub(super) app: Option<AppLine>,
    /// The kind of event and its value, such as an error ID, for programs; only the JSON format contains them.
    pub(super) event: Option<(String, String)>,
    /// What follows the message.
    pub(super) explanation: Option<Explanation>,
}

/// The app of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AppLine {
    pub(super) name: String,
    /// The process that printed the line; `None` for the daemon's own messages.
    pub(super) pid: Option<i64>,
}

impl<'e> LogRecord<'e> {
    pub(super) fn by(event: &Event<'e>) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        Self {
            severity: Severity::of(*event.metadata().level(), fields.critical),
            module: short_module(event.metadata().target()),
            text: fields.text,
            app: fields.app,
            event: fields.event,
            explanation: fields.explanation,
        }
    }

    /// Returns the app and its process when a process printed the line.
    pub(super) fn printed_by(&self) -> Option<(&str, i64)> {
        let app = self.app.as_ref()?;
        Some((&app.name, app.pid?))
    }

    /// Creates a warning of the log itself.
    pub(super) fn warning(module: &'e str, text: String) -> Self {
        Self { severity: Severity::Warning, module, text, app: None, event: None, explanation: None }
    }
}

/// Returns the module without its crate: `supervisor::spawn::child` is `spawn::child`, as the line names the process.
fn short_module(target: &str) -> &str {
    target.split_once("::").map_or(target, |(_, module)| module)
}

#[derive(Default)]
struct Fields {
    text: String,
    critical: bool,
    app: Option<AppLine>,
    event: Option<(String, String)>,
    explanation: Option<Explanation>,
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "critical" => self.critical = value,
            _ => self.record_debug(field, &value),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match field.name() {
            "app_pid" => self.app.get_or_insert_default().pid = Some(value),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "app_name" => value.clone_into(&mut self.app.get_or_insert_default().name),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "event" => self.event.get_or_insert_default().0 = format!("{value:?}"),
            "cause" => self.explanation.get_or_insert_default().cause = format!("{value:?}"),
            "remedy" => self.explanation.get_or_insert_default().remedy = format!("{value:?}"),
            "details" => self.explanation.get_or_insert_default().details = format!("{value:?}"),
            "detail" => self.event.get_or_insert_default().1 = format!("{value:?}"),
            // Writing to a String does not fail.
            "message" => drop(write!(self.text, "{value:?}")),
            name => drop(write!(self.text, " {name}={value:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_shown_without_the_crate_name() {
        assert_eq!(short_module("router::pool"), "pool");
        assert_eq!(short_module("supervisor::spawn::child"), "spawn::child");
        assert_eq!(short_module("router"), "router");
        assert_eq!(short_module("app"), "app");
    }
}
