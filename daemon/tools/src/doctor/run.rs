//! One run of the app, from the start of the private daemon to the response. It collects log lines, the response and
//! Ctrl-C for the diagnosis.

use std::collections::BTreeSet;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::app::TestedApp;
use super::events::{Event, Events};
use super::private_daemon::PrivateDaemon;
use super::test_request::{TestRequest, TestResponse};
use crate::private::log_line::LogLine;
use crate::private::process_tree::listening_ports_below;

/// Interval of checks on which ports the app listens.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Maximum wait for lines that were logged before the response but are read after it.
const LOG_DRAIN_TIME: Duration = Duration::from_secs(5);
/// Maximum time until the daemon accepts connections.
const DAEMON_START_TIMEOUT: Duration = Duration::from_secs(20);

/// The result of a run.
#[derive(Debug, Default)]
pub(super) struct AppRun {
    /// The output of the daemon and the app.
    pub(super) log: Vec<LogLine>,
    /// The ports on which the app's processes listened.
    pub(super) ports: BTreeSet<u16>,
    pub(super) response: Option<Result<TestResponse, String>>,
    /// The report of the failed start.
    pub(super) report: Option<Value>,
    /// Whether the daemon itself did not start.
    pub(super) no_daemon: bool,
    pub(super) interrupted: bool,
}

/// The time limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// For the app to become ready or to fail.
    start: Duration,
    /// For its response.
    response: Duration,
}

impl Timeouts {
    /// Returns the limits from the app's configuration and `timeout`.
    pub(super) fn of(app: &TestedApp, timeout: Option<u64>) -> Self {
        const RESPONSE_SECONDS: u64 = 60;
        // The daemon times out first, and reports why.
        const MARGIN_SECONDS: u64 = 10;
        let start = Duration::from_secs(app.start_timeout().saturating_add(MARGIN_SECONDS));
        Self { start, response: Duration::from_secs(timeout.unwrap_or(RESPONSE_SECONDS)) }
    }

    pub(super) fn total(self) -> Duration {
        self.start.saturating_add(self.response)
    }
}

impl AppRun {
    /// Follows the daemon until the app has responded or has certainly failed. `show` is called with each line.
    pub(super) fn follow(
        events: &Events,
        daemon: &mut PrivateDaemon,
        request: TestRequest,
        timeouts: &Timeouts,
        mut show: impl FnMut(&LogLine),
    ) -> Self {
        let mut run = Self::default();
        let mut request = Some(request);
        let mut deadline = Instant::now() + DAEMON_START_TIMEOUT;
        while run.response.is_none() && !run.no_daemon && !run.interrupted {
            match events.receiver.recv_timeout(POLL_INTERVAL) {
                Ok(Event::Line(line)) => {
                    if line.event == "listening" {
                        deadline = Instant::now() + timeouts.start;
                        request.take().into_iter().for_each(|request| send(request, daemon, events));
                    } else if line.event == "process_ready" {
                        deadline = Instant::now() + timeouts.response;
                    }
                    show(&line);
                    run.log.push(line);
                }
                Ok(Event::Response(response)) => run.response = Some(response),
                Ok(Event::Interrupted) => run.interrupted = true,
                Err(RecvTimeoutError::Timeout) => run.ports.append(&mut listening_ports_below(daemon.pid())),
                Ok(Event::LogEnded) | Err(RecvTimeoutError::Disconnected) => run.no_daemon = true,
            }
            let timed_out = Instant::now() > deadline;
            run.no_daemon |= daemon.has_exited() || (timed_out && request.is_some());
            if timed_out && request.is_none() {
                let seconds = timeouts.response.as_secs();
                run.response.get_or_insert_with(|| Err(format!("no response within {seconds} s")));
            }
        }
        run.drain_log(events, &mut show);
        run.report = run.read_report(daemon);
        run
    }

    /// Reads lines that were logged before the response but arrive after it.
    fn drain_log(&mut self, events: &Events, show: &mut impl FnMut(&LogLine)) {
        let deadline = Instant::now() + LOG_DRAIN_TIME;
        let pause = |run: &Self| if run.lacks_reason() { LOG_DRAIN_TIME } else { POLL_INTERVAL };
        let left = || deadline.saturating_duration_since(Instant::now());
        while let Ok(event) = events.receiver.recv_timeout(left().min(pause(self))) {
            match event {
                Event::Line(line) => {
                    show(&line);
                    self.log.push(line);
                }
                Event::Interrupted => self.interrupted = true,
                Event::LogEnded | Event::Response(_) => {}
            }
        }
    }

    /// Whether the daemon has responded in place of the app, and the reason has not been read yet.
    fn lacks_reason(&self) -> bool {
        let is_daemons = matches!(&self.response, Some(Ok(response)) if response.pid == 0);
        is_daemons && self.last("start_failed").or(self.last("request_failed")).is_none()
    }

    /// Returns the steps of successful starts.
    pub(super) fn steps(&self) -> Vec<String> {
        let steps = self.log.iter().filter_map(|line| match line.event.as_str() {
            "process_steps" => Some(("", &line.detail)),
            "preloader_steps" => Some(("preloader: ", &line.detail)),
            _ => None,
        });
        steps.flat_map(|(of, steps)| steps.split(", ").map(move |step| format!("{of}{step}"))).collect()
    }

    /// Returns the value of the last event of this kind in the log.
    pub(super) fn last(&self, event: &str) -> Option<&str> {
        self.log.iter().rev().find_map(|line| line.detail_of(event))
    }

    /// Fetches the report whose ID is in the log.
    fn read_report(&self, daemon: &PrivateDaemon) -> Option<Value> {
        let id = self.last("start_failed")?;
        daemon.client()?.get_json(&format!("/spawn_errors/{id}.json")).ok()
    }
}

fn send(request: TestRequest, daemon: &PrivateDaemon, events: &Events) {
    let (socket, events) = (daemon.socket(), events.sender.clone());
    thread::spawn(move || {
        let response = request.send(&socket);
        let _ = events.send(Event::Response(response));
    });
}
