//! Readiness of a process that starts: it reports that it is ready or its port responds, or it fails, ends or times
//! out.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::time::Duration;

use protocol::request::AppKind;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::probe::ReadinessProbe;
use crate::app::route::Route;
use crate::report::{StartupTrace, Step};
use common::link::{Address, MAX_REVISION, ProcessRecord};

/// Most bytes of a process's report.
const MAX_REPORT: usize = 128 * 1024;
/// Prefix of the line that contains the revision of the code.
const REVISION: &[u8] = b"revision ";
/// First line of a loader's report.
const LOADING: &[u8] = b"loading\n";

/// How long reading the report of a process that has ended may take; a child of it may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Result of a start.
#[derive(Debug)]
pub(super) enum Outcome {
    Ready {
        /// Number of concurrent requests that it reports; 0 for any number.
        at_once: Option<u32>,
        /// The revision of its code, if its directory has one.
        revision: Option<String>,
    },
    Failed {
        summary: String,
        details: String,
    },
    /// The process is no longer wanted.
    Abandoned,
}

/// Notifies the task that waits for a process's readiness that the process has ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    how: RefCell<Option<String>>,
    abandoned: Cell<bool>,
    told: Notify,
}

impl Ended {
    pub(super) fn tell(&self, how: &str) {
        *self.how.borrow_mut() = Some(how.to_owned());
        self.told.notify_waiters();
    }

    pub(super) fn abandon(&self) {
        self.abandoned.set(true);
        self.told.notify_waiters();
    }

    pub(super) fn is_told(&self) -> bool {
        self.how.borrow().is_some()
    }

    pub(super) fn how(&self) -> Option<String> {
        self.how.borrow().clone()
    }

    /// Resolves when the process has ended, or is no longer wanted.
    pub(super) async fn wait(&self) {
        while !self.is_told() && !self.abandoned.get() {
            self.told.notified().await;
        }
    }
}

/// Waits for a process to become ready, at most until `until`, which is set by `passenger_start_timeout`. `admit`
/// orders the supervisor to give this process access to a socket that an app has opened for its own user.
pub(super) async fn await_ready(
    record: &ProcessRecord,
    route: &Route,
    report: OwnedFd,
    ended: &Ended,
    until: Instant,
    admit: &dyn Fn(),
    trace: &StartupTrace,
) -> Outcome {
    let limit = route.settings.start_timeout;
    let probe = ReadinessProbe::new(record, route, admit);
    let telling = told_ready(&probe, trace, record, route, report, ended);
    tokio::pin!(telling);
    let told = tokio::select! {
        outcome = &mut telling => Some(outcome),
        () = ended.wait() => None,
        () = tokio::time::sleep_until(until) => return timed_out(limit, &probe.last.borrow()),
    };
    let told = match told {
        // Its last report may not have been read yet.
        None if ended.is_told() => tokio::time::timeout(LAST_WORDS, telling).await.ok(),
        told => told,
    };
    match told {
        _ if ended.abandoned.get() => Outcome::Abandoned,
        Some(Outcome::Ready { .. }) if ended.is_told() => {
            failed(&ended_with("as soon as it was ready", ended))
        }
        Some(Outcome::Failed { summary, details }) => {
            // The report ends shortly before the process does; the log must contain how the process ended.
            drop(tokio::time::timeout(Duration::from_secs(2), ended.wait()).await);
            Outcome::Failed { summary: name_cause(summary, ended.how()), details }
        }
        Some(outcome) => outcome,
        None => failed(&ended_with("before it was ready", ended)),
    }
}

async fn told_ready(
    probe: &ReadinessProbe<'_>,
    trace: &StartupTrace,
    record: &ProcessRecord,
    route: &Route,
    report: OwnedFd,
    ended: &Ended,
) -> Outcome {
    let mut revision = None;
    match hear(probe, trace, record, route, report, ended, &mut revision).await {
        Outcome::Ready { at_once, .. } => Outcome::Ready { at_once, revision },
        other => other,
    }
}

async fn hear(
    probe: &ReadinessProbe<'_>,
    trace: &StartupTrace,
    record: &ProcessRecord,
    route: &Route,
    report: OwnedFd,
    ended: &Ended,
    revision: &mut Option<String>,
) -> Outcome {
    let Ok(mut pipe) = pipe::Receiver::from_owned_fd(report) else {
        return failed("its report pipe cannot be read");
    };
    let mut text = Vec::new();
    loop {
        let came = pipe.read_buf(&mut text).await.unwrap_or(0);
        *revision = revision.take().or_else(|| take_revision(&mut text));
        if text.starts_with(LOADING) {
            text.drain(..LOADING.len());
            trace.reaches(Step::Load);
        }
        match read_ready(&text) {
            Some(Outcome::Ready { at_once, .. }) if probe.asks() => {
                trace.reaches(Step::Answer);
                return answered(probe, ended, at_once).await;
            }
            Some(outcome) => return outcome,
            None => {}
        }
        if came == 0 || text.len() > MAX_REPORT {
            break;
        }
    }
    match read_error(&text) {
        Some(outcome) => outcome,
        // The pipe has ended without a report: the command runs.
        None if is_no_loader(record, route) => {
            trace.reaches(Step::Answer);
            answered(probe, ended, None).await
        }
        // A process that has ended reports how; one that closed the pipe and still runs has no reason to report.
        None => failed(""),
    }
}

/// Removes and returns `revision WORD`, a whole line, which comes before the program is run.
fn take_revision(text: &mut Vec<u8>) -> Option<String> {
    let end = memchr::memchr(b'\n', text.strip_prefix(REVISION)?)?;
    let line: Vec<u8> = text.drain(..REVISION.len() + end + 1).collect();
    let word = String::from_utf8_lossy(&line[REVISION.len()..REVISION.len() + end]).into_owned();
    (word.len() <= MAX_REVISION && word.bytes().all(|byte| byte.is_ascii_graphic())).then_some(word)
}

/// Parses `ready` or `ready N`, a whole line.
fn read_ready(text: &[u8]) -> Option<Outcome> {
    let line = text.split_inclusive(|byte| *byte == b'\n').next()?.strip_suffix(b"\n")?;
    let line = std::str::from_utf8(line).ok()?;
    match line.strip_prefix("ready")? {
        "" => Some(Outcome::Ready { at_once: None, revision: None }),
        number => {
            let at_once = number.strip_prefix(' ')?.parse().ok()?;
            Some(Outcome::Ready { at_once: Some(at_once), revision: None })
        }
    }
}

/// Parses `error SUMMARY` and the details that follow.
fn read_error(text: &[u8]) -> Option<Outcome> {
    let text = String::from_utf8_lossy(text);
    let error = text.strip_prefix("error ")?;
    let (summary, details) = error.split_once('\n').unwrap_or((error, ""));
    Some(Outcome::Failed { summary: summary.to_owned(), details: details.to_owned() })
}

async fn answered(probe: &ReadinessProbe<'_>, ended: &Ended, at_once: Option<u32>) -> Outcome {
    tokio::select! {
        () = probe.until_it_answers() => Outcome::Ready { at_once, revision: None },
        () = ended.wait() => failed(""),
    }
}

/// Whether the process runs the app's own program, which has no report pipe.
fn is_no_loader(record: &ProcessRecord, route: &Route) -> bool {
    let opens_itself = matches!(record.address, Address::Tcp(_) | Address::Own(_));
    opens_itself || route.kind == AppKind::Generic
}

fn timed_out(limit: Duration, why: &str) -> Outcome {
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    failed(&format!("it was not ready within {} s (passenger_start_timeout){why}", limit.as_secs()))
}

/// Returns the reported cause, or how the process ended if there is none.
fn name_cause(summary: String, how: Option<String>) -> String {
    match how {
        _ if !summary.is_empty() => summary,
        Some(how) => format!("its process {how} before it was ready"),
        None => "it did not say whether it is ready".into(),
    }
}

fn ended_with(when: &str, ended: &Ended) -> String {
    format!("its process {} {when}", ended.how().unwrap_or_default())
}

fn failed(summary: &str) -> Outcome {
    Outcome::Failed { summary: summary.to_owned(), details: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_summary_and_details() {
        let Some(Outcome::Failed { summary, details }) = read_error(b"error no such file\nline 1\nline 2\n")
        else {
            panic!("this is an error report");
        };
        assert_eq!((summary.as_str(), details.as_str()), ("no such file", "line 1\nline 2\n"));
        assert!(read_error(b"").is_none());
        assert!(read_error(b"rea").is_none());
    }

    #[test]
    fn a_revision_stands_in_front_and_is_a_word() {
        let mut text = b"revision 9d0b2a1\nloading\n".to_vec();
        assert_eq!(take_revision(&mut text).as_deref(), Some("9d0b2a1"));
        assert_eq!(text, LOADING);
        assert_eq!(take_revision(&mut text), None);
        for line in ["revision two words\n", "revision \u{1b}[0m\n", "revision", "revision 9d0b"] {
            assert_eq!(take_revision(&mut line.as_bytes().to_vec()), None, "{line:?}");
        }
    }

    #[test]
    fn a_process_may_say_how_many_requests_it_takes() {
        let at_once = |text: &[u8]| match read_ready(text) {
            Some(Outcome::Ready { at_once, .. }) => at_once,
            _ => panic!("{text:?} is a report of readiness"),
        };
        assert_eq!(at_once(b"ready\n"), None);
        assert_eq!(at_once(b"ready 16\n"), Some(16));
        assert_eq!(at_once(b"ready 0\nand more"), Some(0));
        for text in
            [&b"ready"[..], b"ready 1", b"ready -1\n", b"readyness\n", b"ready many\n", b"error ready\n"]
        {
            assert!(read_ready(text).is_none(), "{text:?}");
        }
    }
}
