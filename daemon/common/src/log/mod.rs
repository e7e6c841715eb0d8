//! The log: one line per message on standard error, possibly a log file, in one format for supervisor and router.
//!
//! ```text
//! [ N 2026-11-23 16:37:01.1234 4711/supervisor spawn ]: message
//! ```
//!
//! `tracing`'s levels represent Passenger's: `error!` E, `warn!` W, `info!` N (notice), `debug!` I (info), `trace!` D.
//! `error!(critical = true, …)` is C; the fields `event` and `detail` are for programs; `cause`, `remedy` and
//! `details` explain an event in further lines. The format of a line is configurable: [`plain`], [`json`] or [`journald`].

mod explanation;
mod journald;
mod json;
mod level;
mod lost;
mod plain;
mod queue;
pub(crate) mod record;
pub mod writer;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

use crate::sys::clock;
pub use level::{LogLevel, UnknownLevel};
pub use lost::failure;
use lost::lost;
use record::{AppLine, LogRecord, Severity};

/// The part of the daemon that writes a line, shown in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The supervisor.
    Supervisor,
    /// The router.
    Router,
    /// The gate, a separate program.
    Gate,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Router => "router",
            Self::Gate => "gate",
        }
    }
}

/// The origin of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The part of the daemon.
    pub part: Part,
    /// Its process ID.
    pub pid: u32,
}

impl Source {
    /// This process.
    fn here(part: Part) -> Self {
        Self { part, pid: std::process::id() }
    }
}

/// The format of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text in Passenger's format.
    #[default]
    Plain,
    /// A JSON object.
    Json,
    /// For a journal that adds time and process itself.
    Journald,
}

impl LogFormat {
    /// The names of the formats in the configuration.
    pub const NAMES: &[&str] = &["plain", "json", "journald"];

    /// Returns the format of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::Json, Self::Journald].into_iter().find(|format| format.name() == name)
    }

    /// Returns the name of the format in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }
}

type Filter = reload::Handle<LevelFilter, Registry>;

/// The format and source of the log that was set up.
static FORMAT: OnceLock<(LogFormat, Part)> = OnceLock::new();
/// Changes the level of the log that was set up.
static FILTER: OnceLock<Filter> = OnceLock::new();
/// Whether only critical messages are logged: level 0, which no filter of `tracing` can express.
static ONLY_CRITICAL: AtomicBool = AtomicBool::new(false);
/// Whether a line printed by an app gets a prefix.
static APP_PREFIX: AtomicBool = AtomicBool::new(true);

/// Sends this process's log to standard error. Later calls change nothing.
pub fn init(level: LogLevel, format: LogFormat, part: Part) {
    let (filter, handle) = reload::Layer::new(level.filter());
    // What the library for HTTP/2 reports of each frame is for its developers.
    let own = filter_fn(|event| !event.target().starts_with("h2"));
    // A line that cannot be written, as on a full disk, is lost: reporting this to standard error would panic.
    let lines = tracing_subscriber::fmt::layer().with_writer(lost::Lines::new).log_internal_errors(false);
    let lines = lines.event_format(Form { format, source: Source::here(part) });
    let log = tracing_subscriber::registry().with(filter).with(own).with(lines);
    // Fails if a log was set up before; that one remains.
    if tracing::subscriber::set_global_default(log).is_ok() {
        ONLY_CRITICAL.store(level.is_critical_only(), Ordering::Relaxed);
        let _ = FILTER.set(handle);
        let _ = FORMAT.set((format, part));
    }
}

/// Changes the log level.
pub fn set_level(level: LogLevel) {
    if let Some(filter) = FILTER.get() {
        ONLY_CRITICAL.store(level.is_critical_only(), Ordering::Relaxed);
        // Fails only if the log no longer exists.
        let _ = filter.reload(level.filter());
    }
}

/// Sets whether lines printed by apps get a prefix that names their process.
pub fn set_app_prefix(wanted: bool) {
    APP_PREFIX.store(wanted, Ordering::Relaxed);
}

fn app_prefix() -> bool {
    APP_PREFIX.load(Ordering::Relaxed)
}

/// Logs a line printed by a process of an app.
pub fn app_line(app: &str, pid: i32, line: &str) {
    tracing::info!(target: "app", app_name = app, app_pid = pid, "{line}");
}

/// Starts a process that writes the log to the current standard error; see [`writer`].
///
/// # Errors
///
/// When no process can be created. The log is written directly then, which may block.
pub fn start_writer() -> io::Result<()> {
    writer::start(|lines| {
        write_lines(lines);
        lost::errno()
    })
}

/// Writes complete lines as they are. If earlier lines were lost, a line with their number comes first.
fn write_lines(lines: &[u8]) {
    let count = lines.iter().filter(|byte| **byte == b'\n').count();
    match count_of_lost() {
        Some(mut text) => {
            text.push_str(&String::from_utf8_lossy(lines));
            lost::write(text.as_bytes(), count);
        }
        None => lost::write(lines, count),
    }
}

/// Returns a line with the number of lost lines, if there are any.
fn count_of_lost() -> Option<String> {
    let &(format, part) = FORMAT.get()?;
    let mut line = String::new();
    // Writing to a String does not fail.
    let _ =
        Form { format, source: Source::here(part) }.write_to(&mut line, &LogRecord::warning("log", lost()?));
    Some(line)
}

/// Writes complete lines of another process to this process's log: unchanged if they have the format of the log and
/// name that process as their source, otherwise as the text of a line that does. `framed` says whether output of apps
/// has a prefix. If earlier lines were lost, a line with their number comes first.
pub fn copy_lines(lines: &[u8], source: Source, framed: bool) {
    let Some(&(format, _)) = FORMAT.get() else { return };
    let mut text = count_of_lost().unwrap_or_default();
    text.reserve(lines.len() + 128);
    let form = Form { format, source };
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines).split(|byte| *byte == b'\n');
    let mut count = 0;
    for line in lines {
        count += 1;
        match std::str::from_utf8(line) {
            Ok(line) if form.has_written(line, framed) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {
                let line = String::from_utf8_lossy(line).into_owned();
                let _ = form.write_to(&mut text, &LogRecord::warning("output", line));
            }
        }
    }
    lost::write(text.as_bytes(), count);
}

/// Bytes that [`is_beginning`] needs.
pub const BEGINNING: usize = plain::BEGIN.len();

/// Whether a file begins like a log of this daemon. Passenger's own logs begin like plain ones.
pub fn is_beginning(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    plain::after(plain::BEGIN, &text).or_else(|| plain::after("{\"time\":\"9999-", &text)).is_some()
}

/// Formats a line printed by an app for the app's own log file, in the format of the log.
pub fn app_line_in_file(app: &str, pid: i32, line: &str) -> String {
    let app = Some(AppLine { name: app.to_owned(), pid: Some(pid.into()) });
    let (text, severity) = (line.to_owned(), Severity::Notice);
    let record = LogRecord { text, severity, module: "app", app, event: None, explanation: None };
    let mut out = String::with_capacity(line.len() + 64);
    // Writing to a String does not fail.
    let _ = match FORMAT.get() {
        Some((LogFormat::Json, part)) => {
            json::write(&mut out, Source::here(*part), clock::utc_now(), &record)
        }
        Some((_, part)) => plain::write(&mut out, Source::here(*part), clock::local_now(), &record),
        None => Ok(()),
    };
    out
}

/// Formats a line printed by an app where time and the app's name are known otherwise, without a line end.
pub fn app_message(pid: i32, line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 32);
    // Writing to a String does not fail.
    let _ = if app_prefix() { plain::write_app_prefix(&mut out, "", pid.into()) } else { Ok(()) };
    let _ = plain::escape(&mut out, line);
    out
}

/// Formats one event as one line.
struct Form {
    format: LogFormat,
    source: Source,
}

impl<S, N> FormatEvent<S, N> for Form
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
        let record = LogRecord::by(event);
        if ONLY_CRITICAL.load(Ordering::Relaxed) && record.severity != Severity::Critical {
            return Ok(());
        }
        if let Some(lost) = lost() {
            self.write_to(&mut writer, &LogRecord::warning("log", lost))?;
        }
        self.write_to(&mut writer, &record)
    }
}

impl Form {
    fn write_to(&self, writer: &mut impl fmt::Write, record: &LogRecord<'_>) -> fmt::Result {
        match self.format {
            LogFormat::Plain => plain::write(writer, self.source, clock::local_now(), record),
            LogFormat::Json => json::write(writer, self.source, clock::utc_now(), record),
            LogFormat::Journald => journald::write(writer, self.source.part, record),
        }
    }

    /// Whether the line has this format and source, or is output of an app.
    fn has_written(&self, line: &str, framed: bool) -> bool {
        let is_plain = !line.chars().any(|character| character.is_control() && character != '\t');
        is_plain
            && match self.format {
                LogFormat::Plain => plain::is_of(line, self.source) || !framed && !plain::is_framed(line),
                LogFormat::Json => json::is_of(line, self.source),
                LogFormat::Journald => journald::is_of(line, self.source.part, framed),
            }
    }
}
