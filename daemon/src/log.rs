//! The log: one line a message on standard error, which may be a log file, in the same frame for supervisor and router.
//!
//! ```text
//! [ N 2026-11-23 16:37:01.1234 4711/supervisor spawn ]: message
//! ```
//!
//! `tracing`'s levels carry Passenger's: `error!` E, `warn!` W, `info!` N (notice), `debug!` I (info), `trace!` D.
//! `error!(critical = true, …)` is C. Control characters are escaped: what an app or a client wrote cannot forge
//! another line. A line that an app printed may go without the frame.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

use crate::sys::clock::{self, LocalTime};

/// How much is logged: Passenger's levels, 0 to 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogLevel(u8);

/// The daemon's half that writes, shown in each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The supervisor.
    Supervisor,
    /// The router.
    Router,
}

/// Names of the levels; the place is the number.
const NAMES: [&str; 8] = ["crit", "error", "warn", "notice", "info", "debug", "debug2", "debug3"];

impl Default for LogLevel {
    fn default() -> Self {
        Self(3)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The text is no log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is no log level: give 0 to 7, or one of {}", NAMES.join(", "))
    }
}

impl std::error::Error for UnknownLevel {}

impl FromStr for LogLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let by_name = NAMES.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = by_name.and_then(|at| u8::try_from(at).ok()).or_else(|| text.parse().ok());
        number.filter(|number| *number <= 7).map(Self).ok_or(UnknownLevel)
    }
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self.0 {
            0 | 1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }
}

type Filter = reload::Handle<LevelFilter, Registry>;

/// What changes the level of the log that was set up.
static FILTER: OnceLock<Filter> = OnceLock::new();
/// Level 0 lets through less than any filter of `tracing` can say.
static ONLY_CRITICAL: AtomicBool = AtomicBool::new(false);

/// Sends this process's log to standard error from here on. Later calls change nothing.
pub fn init(level: LogLevel, part: Part) {
    let (filter, handle) = reload::Layer::new(level.filter());
    // A line that cannot be written, as on a full disk, is lost: complaining of it, to standard error again, would panic.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = lines.event_format(Frame { part });
    let log = tracing_subscriber::registry().with(filter).with(lines);
    // Fails when a log was set up before; that one stays.
    if tracing::subscriber::set_global_default(log).is_ok() {
        ONLY_CRITICAL.store(level.0 == 0, Ordering::Relaxed);
        let _ = FILTER.set(handle);
    }
}

/// Changes how much is logged from here on.
pub fn set_level(level: LogLevel) {
    if let Some(filter) = FILTER.get() {
        ONLY_CRITICAL.store(level.0 == 0, Ordering::Relaxed);
        // Fails only when the log is gone.
        let _ = filter.reload(level.filter());
    }
}

/// Whether a line that an app prints tells whose it is.
static APP_PREFIX: AtomicBool = AtomicBool::new(true);

/// Lines that apps print get a frame with their process from here on, or go as they are.
pub fn set_app_prefix(wanted: bool) {
    APP_PREFIX.store(wanted, Ordering::Relaxed);
}

/// Logs a line that an app process printed.
pub fn app_line(pid: i32, line: &str) {
    if APP_PREFIX.load(Ordering::Relaxed) {
        tracing::info!(target: "app", "App {pid} output: {line}");
    } else {
        tracing::info!(target: "app", bare = true, "{line}");
    }
}

/// Writes one event as one line.
struct Frame {
    part: Part,
}

impl<S, N> FormatEvent<S, N> for Frame
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        if ONLY_CRITICAL.load(Ordering::Relaxed) && !said.critical {
            return Ok(());
        }
        if said.bare {
            return write_bare_line(&mut writer, &said.text);
        }
        let letter = letter(*event.metadata().level(), said.critical);
        let head = Head { letter, part: self.part, module: event.metadata().target() };
        write_line(&mut writer, &head, clock::local_now(), &said.text)
    }
}

fn letter(level: Level, critical: bool) -> char {
    match level {
        Level::ERROR if critical => 'C',
        Level::ERROR => 'E',
        Level::WARN => 'W',
        Level::INFO => 'N',
        Level::DEBUG => 'I',
        Level::TRACE => 'D',
    }
}

struct Head<'a> {
    letter: char,
    part: Part,
    module: &'a str,
}

fn write_line(out: &mut impl Write, head: &Head<'_>, at: LocalTime, text: &str) -> fmt::Result {
    let LocalTime { year, month, day, hour, minute, second, nanoseconds } = at;
    let part = match head.part {
        Part::Supervisor => "supervisor",
        Part::Router => "router",
    };
    write!(
        out,
        "[ {} {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:04} {}/{part} {} ]: ",
        head.letter,
        nanoseconds / 100_000,
        std::process::id(),
        short_module(head.module),
    )?;
    write_bare_line(out, text)
}

fn write_bare_line(out: &mut impl Write, text: &str) -> fmt::Result {
    escape(out, text)?;
    out.write_char('\n')
}

/// `flying_passenger::supervisor::spawn::child` is `spawn::child`: the crate is known and the part stands before it.
fn short_module(target: &str) -> &str {
    let inner = target.strip_prefix("flying_passenger").unwrap_or(target).trim_start_matches("::");
    let inner =
        inner.strip_prefix("supervisor::").or_else(|| inner.strip_prefix("router::")).unwrap_or(inner);
    if inner.is_empty() { "main" } else { inner }
}

/// Everything that could end the line, or reach into the terminal that shows it, is written in digits.
fn escape(out: &mut impl Write, text: &str) -> fmt::Result {
    for character in text.chars() {
        match character {
            '\t' => out.write_char('\t')?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            control if control.is_control() => write!(out, "\\x{:02x}", u32::from(control))?,
            other => out.write_char(other)?,
        }
    }
    Ok(())
}

/// The message of an event, its other fields behind it.
#[derive(Default)]
struct Said {
    text: String,
    critical: bool,
    bare: bool,
}

impl Visit for Said {
    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "critical" => self.critical = value,
            "bare" => self.bare = value,
            _ => self.record_debug(field, &value),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = if field.name() == "message" {
            write!(self.text, "{value:?}")
        } else {
            write!(self.text, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: LocalTime =
        LocalTime { year: 2026, month: 11, day: 3, hour: 6, minute: 7, second: 1, nanoseconds: 123_456_789 };

    #[test]
    fn a_line_has_passengers_frame() {
        let head =
            Head { letter: 'N', part: Part::Supervisor, module: "flying_passenger::supervisor::spawn" };
        let mut line = String::new();
        write_line(&mut line, &head, AT, "up and listening").unwrap();
        let pid = std::process::id();
        assert_eq!(
            line,
            format!("[ N 2026-11-03 06:07:01.1234 {pid}/supervisor spawn ]: up and listening\n")
        );
    }

    #[test]
    fn nobody_forges_a_line() {
        let mut out = String::new();
        escape(&mut out, "tab\there\n[ C forged ]\r\x1b[31m \u{85}ü").unwrap();
        assert_eq!(out, "tab\there\\n[ C forged ]\\r\\x1b[31m \\x85ü");
    }

    #[test]
    fn a_bare_line_forges_none_either() {
        let mut line = String::new();
        write_bare_line(&mut line, "hello\u{1b}[0m\nthere").unwrap();
        assert_eq!(line, "hello\\x1b[0m\\nthere\n");
    }

    #[test]
    fn levels_are_numbers_or_names() {
        for (text, level) in [("0", 0), ("7", 7), ("warn", 2), ("Notice", 3), ("debug", 5)] {
            assert_eq!(text.parse(), Ok(LogLevel(level)), "{text}");
        }
        for text in ["8", "-1", "", "loud"] {
            assert_eq!(text.parse::<LogLevel>(), Err(UnknownLevel), "{text}");
        }
    }

    #[test]
    fn modules_are_shown_without_what_the_line_already_says() {
        assert_eq!(short_module("flying_passenger::router::pool"), "pool");
        assert_eq!(short_module("flying_passenger::router"), "router");
        assert_eq!(short_module("flying_passenger"), "main");
        assert_eq!(short_module("app"), "app");
    }
}
