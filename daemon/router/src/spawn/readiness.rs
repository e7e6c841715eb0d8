//! Readiness of a process that starts: it reports that it is ready or its port responds, or it fails, ends or times
//! out.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use protocol::request::AppKind;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, info};

use super::super::output::{Output, Places};
use super::listen_hint;
use super::probe::ReadinessProbe;
use crate::app::route::Route;
use crate::report::{NO_PIPES, SpawnFailure, StartupTrace, Step};
use crate::supervisor_link::Supervisor;
use common::link::{Address, MAX_NATIVE, MAX_PROGRAM, MAX_REVISION, Order, ProcessRecord, StopHow};

/// Maximum size of a process's report, in bytes.
const MAX_REPORT: usize = 128 * 1024;
/// Prefix of the line about the interpreter that was found.
const PROGRAM: &[u8] = b"with ";
/// Prefix of the line that contains the revision of the code.
const REVISION: &[u8] = b"revision ";
/// Prefix of the line about native support.
const NATIVE: &[u8] = b"native ";
/// First line of a loader's report.
const LOADING: &[u8] = b"loading\n";

/// How long reading the report of a process that has ended may take; a child of it may hold the pipe open.
const LAST_REPORT_TIMEOUT: Duration = Duration::from_millis(500);

/// A process that is ready.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// Number of concurrent requests that it reports; 0 for any number.
    pub(super) max_concurrent: Option<u32>,
    /// The revision of its code, if its directory has one.
    pub(super) revision: Option<String>,
    /// What it reports of native support.
    pub(super) native: Option<String>,
}

/// Why a process did not become ready.
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    summary: String,
    details: String,
}

/// Why a process did not start; `None` when it is no longer wanted.
pub(super) type NotStarted = Option<Box<SpawnFailure>>;

/// Notifies the task that waits for a process's readiness that the process has ended, or is no longer wanted.
#[derive(Debug, Default)]
pub(super) struct ProcessEnd {
    how: RefCell<Option<String>>,
    abandoned: Cell<bool>,
    changed: Notify,
}

impl ProcessEnd {
    pub(super) fn report(&self, how: &str) {
        *self.how.borrow_mut() = Some(how.to_owned());
        self.changed.notify_waiters();
    }

    pub(super) fn abandon(&self) {
        self.abandoned.set(true);
        self.changed.notify_waiters();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.how.borrow().is_some()
    }

    fn how(&self) -> Option<String> {
        self.how.borrow().clone()
    }

    /// Resolves when the process has ended, or is no longer wanted.
    pub(super) async fn wait(&self) {
        while !self.has_ended() && !self.abandoned.get() {
            self.changed.notified().await;
        }
    }
}

/// The output and the report pipe of a process that starts.
pub(super) struct Pipes {
    output: Output,
    report: OwnedFd,
}

impl Pipes {
    /// Returns the pipes of a process; `None` if the kernel has dropped them, as the descriptor limit is reached.
    pub(super) fn new(
        descriptors: Vec<OwnedFd>,
        places: &Rc<Places>,
        route: &Route,
        record: &ProcessRecord,
    ) -> Option<Self> {
        let [output, report] = <[OwnedFd; 2]>::try_from(descriptors).ok()?;
        Some(Self { output: Output::follow(output, places, route, record), report })
    }
}

/// The start of a process.
pub(super) struct Start<'a> {
    pub(super) supervisor: &'a Supervisor,
    /// `process` or `preloader`, for the log.
    pub(super) role: &'a str,
    pub(super) record: &'a ProcessRecord,
    pub(super) route: &'a Route,
    pub(super) ended: &'a ProcessEnd,
    /// When it must be ready, by `passenger_start_timeout`.
    pub(super) until: Instant,
    pub(super) trace: &'a StartupTrace,
}

impl Start<'_> {
    /// Waits until the process is ready. Kills it otherwise.
    pub(super) async fn finish(&self, pipes: Option<Pipes>) -> Result<Ready, NotStarted> {
        let Some(Pipes { output, report }) = pipes else {
            self.kill();
            return Err(Some(Box::new(SpawnFailure::new(self.route, NO_PIPES, self.trace))));
        };
        let result = self.ready(report).await;
        if self.ended.abandoned.get() {
            self.kill();
            return Err(None);
        }
        let (app, role, pid) = (&self.route.name, self.role, self.record.pid);
        match result {
            Ok(ready) => {
                output.forget();
                if let Some(entry) = self.trace.entry(self.route) {
                    let event = format!("{role}_entry");
                    info!(event, detail = entry, "app {app}: {role} {pid} runs {entry}");
                }
                let steps = self.trace.done();
                let (of_steps, of_start) = (format!("{role}_steps"), format!("{role}_ready"));
                debug!(
                    event = of_steps,
                    detail = steps,
                    app_name = app,
                    "app {app}: {role} {pid} is ready; steps: {steps}"
                );
                info!(event = of_start, detail = pid, app_name = app, "app {app}: {role} {pid} is ready");
                Ok(ready)
            }
            Err(Failed { summary, details }) => {
                self.kill();
                output.settle().await;
                let summary = summary + &listen_hint::of(self.route);
                let failure = SpawnFailure::new(self.route, &summary, self.trace);
                let failure = failure.of_process(self.record, self.ended.how());
                output.write_report(&details);
                Err(Some(Box::new(failure.explained(details, output.text()))))
            }
        }
    }

    fn kill(&self) {
        if !self.ended.has_ended() {
            self.supervisor.send(&Order::Stop(self.record.process, StopHow::Kill));
        }
    }

    async fn ready(&self, report: OwnedFd) -> Result<Ready, Failed> {
        let probe = ReadinessProbe::new(self.record, self.route, self.supervisor);
        let reported = self.read_report(&probe, report);
        tokio::pin!(reported);
        let result = tokio::select! {
            result = &mut reported => Some(result),
            () = self.ended.wait() => None,
            () = tokio::time::sleep_until(self.until) => {
                return Err(timed_out(self.route.settings.router.start_timeout, &probe.last.borrow()));
            }
        };
        let result = match result {
            // Its last report may not have been read yet.
            None if self.ended.has_ended() => tokio::time::timeout(LAST_REPORT_TIMEOUT, reported).await.ok(),
            result => result,
        };
        match result {
            Some(Ok(_)) if self.ended.has_ended() => Err(self.ended_when("as soon as it was ready")),
            Some(Err(Failed { summary, details })) => {
                // The report ends shortly before the process does; the log must contain how the process ended.
                drop(tokio::time::timeout(Duration::from_secs(2), self.ended.wait()).await);
                Err(Failed { summary: name_cause(summary, self.ended.how()), details })
            }
            Some(ready) => ready,
            None => Err(self.ended_when("before it was ready")),
        }
    }

    async fn read_report(&self, probe: &ReadinessProbe<'_>, report: OwnedFd) -> Result<Ready, Failed> {
        let Ok(mut pipe) = pipe::Receiver::from_owned_fd(report) else {
            return Err(failed("its report pipe cannot be read"));
        };
        let (mut text, mut revision, mut native) = (Vec::new(), None, None);
        loop {
            let came = pipe.read_buf(&mut text).await.unwrap_or(0);
            if let Some(program) = take_line(&mut text, PROGRAM, MAX_PROGRAM) {
                self.trace.runs(&program);
            }
            revision = revision.or_else(|| take_revision(&mut text));
            if text.starts_with(LOADING) {
                text.drain(..LOADING.len());
                self.trace.reaches(Step::Load);
            }
            native = native.or_else(|| take_native(&mut text));
            if let Some(max_concurrent) = read_ready(&text) {
                if probe.is_required() {
                    self.await_answer(probe).await?;
                }
                return Ok(Ready { max_concurrent, revision, native });
            }
            if came == 0 || text.len() > MAX_REPORT {
                break;
            }
        }
        match read_error(&text) {
            Some(failed) => Err(failed),
            // The pipe has ended without a report: the command runs.
            None if self.runs_own_program() => {
                self.await_answer(probe).await?;
                Ok(Ready { max_concurrent: None, revision, native })
            }
            // A process that has ended reports how; one that closed the pipe and still runs has no reason to report.
            None => Err(failed("")),
        }
    }

    async fn await_answer(&self, probe: &ReadinessProbe<'_>) -> Result<(), Failed> {
        self.trace.reaches(Step::Answer);
        tokio::select! {
            () = probe.wait_until_ready() => Ok(()),
            () = self.ended.wait() => Err(failed("")),
        }
    }

    /// Whether the process runs the app's own program, which has no report pipe.
    fn runs_own_program(&self) -> bool {
        let opens_itself = matches!(self.record.address, Address::Tcp(_) | Address::Own(_));
        opens_itself || self.route.kind == AppKind::Generic
    }

    fn ended_when(&self, when: &str) -> Failed {
        failed(&format!("its process {} {when}", self.ended.how().unwrap_or_default()))
    }
}

/// Removes and returns `revision WORD`, a whole line, which comes before the program is run.
fn take_revision(text: &mut Vec<u8>) -> Option<String> {
    let word = take_line(text, REVISION, MAX_REVISION)?;
    word.bytes().all(|byte| byte.is_ascii_graphic()).then_some(word)
}

/// Removes `native yes` or `native no REASON`, a whole line, and returns it as `yes` or `no: REASON`.
fn take_native(text: &mut Vec<u8>) -> Option<String> {
    match take_line(text, NATIVE, MAX_NATIVE)?.as_str() {
        "yes" => Some("yes".to_owned()),
        other => other.strip_prefix("no ").map(|reason| format!("no: {reason}")),
    }
}

/// Removes a whole line with this prefix and returns the rest of it, if it is short and printable.
fn take_line(text: &mut Vec<u8>, prefix: &[u8], max: usize) -> Option<String> {
    let end = memchr::memchr(b'\n', text.strip_prefix(prefix)?)?;
    let line: Vec<u8> = text.drain(..prefix.len() + end + 1).collect();
    let rest = String::from_utf8_lossy(&line[prefix.len()..prefix.len() + end]).into_owned();
    (rest.len() <= max && !rest.chars().any(char::is_control)).then_some(rest)
}

/// Parses `ready` or `ready N`, a whole line; returns the number.
fn read_ready(text: &[u8]) -> Option<Option<u32>> {
    let line = text.split_inclusive(|byte| *byte == b'\n').next()?.strip_suffix(b"\n")?;
    let line = std::str::from_utf8(line).ok()?;
    match line.strip_prefix("ready")? {
        "" => Some(None),
        number => Some(Some(number.strip_prefix(' ')?.parse().ok()?)),
    }
}

/// Parses `error SUMMARY` and the details that follow.
fn read_error(text: &[u8]) -> Option<Failed> {
    let text = String::from_utf8_lossy(text);
    let error = text.strip_prefix("error ")?;
    let (summary, details) = error.split_once('\n').unwrap_or((error, ""));
    Some(Failed { summary: summary.to_owned(), details: details.to_owned() })
}

fn timed_out(limit: Duration, why: &str) -> Failed {
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    failed(&format!("it was not ready within {} s (passenger_start_timeout){why}", limit.as_secs()))
}

/// Returns the reported cause, or how the process ended if there is none.
fn name_cause(summary: String, how: Option<String>) -> String {
    match how {
        _ if !summary.is_empty() => summary,
        Some(how) => format!("its process {how} before it was ready"),
        None => "it did not report whether it is ready".into(),
    }
}

fn failed(summary: &str) -> Failed {
    Failed { summary: summary.to_owned(), details: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_report_is_a_summary_and_details() {
        let failed = read_error(b"error no such file\nline 1\nline 2\n").unwrap();
        assert_eq!((failed.summary.as_str(), failed.details.as_str()), ("no such file", "line 1\nline 2\n"));
        assert_eq!((read_error(b""), read_error(b"rea")), (None, None));
    }

    #[test]
    fn a_revision_is_one_word_at_the_front_of_the_report() {
        let mut text = b"revision 9d0b2a1\nloading\n".to_vec();
        assert_eq!(take_revision(&mut text).as_deref(), Some("9d0b2a1"));
        assert_eq!(text, LOADING);
        assert_eq!(take_revision(&mut text), None);
        for line in ["revision two words\n", "revision \u{1b}[0m\n", "revision", "revision 9d0b"] {
            assert_eq!(take_revision(&mut line.as_bytes().to_vec()), None, "{line:?}");
        }
    }

    #[test]
    fn native_support_is_used_or_has_a_reason() {
        for (line, expected) in [
            ("native yes\n", Some("yes")),
            ("native no not built\n", Some("no: not built")),
            ("native maybe\n", None),
            ("native no \u{1b}[0m\n", None),
            ("native yes", None),
        ] {
            assert_eq!(take_native(&mut line.as_bytes().to_vec()).as_deref(), expected, "{line:?}");
        }
        let long = format!("native no {}\nready\n", "x".repeat(MAX_NATIVE));
        let mut text = long.into_bytes();
        assert_eq!((take_native(&mut text), text.as_slice()), (None, &b"ready\n"[..]));
    }

    #[test]
    fn a_process_may_report_how_many_requests_it_takes() {
        assert_eq!(read_ready(b"ready\n"), Some(None));
        assert_eq!(read_ready(b"ready 16\n"), Some(Some(16)));
        assert_eq!(read_ready(b"ready 0\nand more"), Some(Some(0)));
        for text in
            [&b"ready"[..], b"ready 1", b"ready -1\n", b"readyness\n", b"ready many\n", b"error ready\n"]
        {
            assert!(read_ready(text).is_none(), "{text:?}");
        }
    }
}
