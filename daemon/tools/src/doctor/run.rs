//! One run of the app, from the start of the private daemon to the response. It collects log lines, the response and
//! Ctrl-C for the diagnosis.

use std::collections::BTreeSet;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::app::TestedApp;
use super::conversation::{Answer, Question};
use super::events::{Event, Events};
use super::listening::ports_below;
use super::private_daemon::PrivateDaemon;

/// Interval of checks on which ports the app listens.
const LOOK: Duration = Duration::from_millis(200);
/// Maximum wait for lines logged before the response but read after it.
const SETTLE: Duration = Duration::from_secs(1);
/// Maximum time until the daemon accepts connections.
const UP: Duration = Duration::from_secs(20);

/// The result of a run.
#[derive(Debug, Default)]
pub(super) struct AppRun {
    /// The output of the daemon and the app.
    pub(super) log: Vec<String>,
    /// Steps of successful starts.
    pub(super) steps: Vec<String>,
    /// The ports on which the app's processes listened.
    pub(super) ports: BTreeSet<u16>,
    pub(super) answer: Option<Result<Answer, String>>,
    /// The report of the failed start.
    pub(super) report: Option<Value>,
    /// Whether the daemon itself did not start.
    pub(super) no_daemon: bool,
    pub(super) interrupted: bool,
}

/// The time limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the app to become ready or to fail.
    pub(super) start: Duration,
    /// For its response.
    pub(super) answer: Duration,
}

impl Patience {
    /// Returns the limits from the app's configuration and `timeout`.
    pub(super) fn of(app: &TestedApp, timeout: Option<u64>) -> Self {
        const ANSWER: u64 = 60;
        // The daemon times out first, and reports why.
        const MARGIN: u64 = 10;
        let start = Duration::from_secs(app.start_timeout().saturating_add(MARGIN));
        Self { start, answer: Duration::from_secs(timeout.unwrap_or(ANSWER)) }
    }

    /// Returns the sum of both.
    pub(super) fn in_all(self) -> Duration {
        self.start.saturating_add(self.answer)
    }
}

impl AppRun {
    /// Follows the daemon until the app has answered or has certainly failed. `show` is called with each line.
    pub(super) fn follow(
        events: &Events,
        daemon: &mut PrivateDaemon,
        question: Question,
        patience: &Patience,
        mut show: impl FnMut(&str),
    ) -> Self {
        let mut run = Self::default();
        let mut question = Some(question);
        let mut until = Instant::now() + UP;
        while !run.is_over() {
            match events.receiver.recv_timeout(LOOK) {
                Ok(Event::Line(line)) => {
                    if line.contains("up and listening") {
                        until = Instant::now() + patience.start;
                        question.take().into_iter().for_each(|question| ask(question, daemon, events));
                    } else if line.contains(": process ") && line.ends_with(" is ready") {
                        until = Instant::now() + patience.answer;
                    }
                    show(&line);
                    run.note(line);
                }
                Ok(Event::Answered(answer)) => run.answer = Some(answer),
                Ok(Event::Interrupted) => run.interrupted = true,
                Err(RecvTimeoutError::Timeout) => run.ports.append(&mut ports_below(daemon.pid())),
                Ok(Event::LogEnded) | Err(RecvTimeoutError::Disconnected) => run.no_daemon = true,
            }
            let too_late = Instant::now() > until;
            run.no_daemon |= daemon.ended().is_some() || (too_late && question.is_some());
            if too_late && question.is_none() {
                let seconds = patience.answer.as_secs();
                run.answer.get_or_insert_with(|| Err(format!("there was no answer within {seconds} s")));
            }
        }
        run.hear_the_rest(events, &mut show);
        run.report = run.read_report(daemon);
        run
    }

    fn is_over(&self) -> bool {
        self.answer.is_some() || self.no_daemon || self.interrupted
    }

    /// Reads lines logged before the response that may arrive after it.
    fn hear_the_rest(&mut self, events: &Events, show: &mut impl FnMut(&str)) {
        let until = Instant::now() + SETTLE;
        while let Ok(event) =
            events.receiver.recv_timeout(until.saturating_duration_since(Instant::now()).min(LOOK))
        {
            match event {
                Event::Line(line) => {
                    show(&line);
                    self.note(line);
                }
                Event::Interrupted => self.interrupted = true,
                Event::LogEnded | Event::Answered(_) => {}
            }
        }
    }

    fn note(&mut self, line: String) {
        if let Some((_, steps)) = line.split_once(" is ready; steps: ") {
            let of_preloader = line.contains(": preloader ");
            let of = if of_preloader { "preloader: " } else { "" };
            self.steps.extend(steps.split(", ").map(|step| format!("{of}{step}")));
        }
        self.log.push(line);
    }

    /// Fetches the report whose ID is in the log.
    fn read_report(&self, daemon: &PrivateDaemon) -> Option<Value> {
        let ids = self.log.iter().rev().filter_map(|line| line.split_once("[error ID "));
        let id = ids.filter_map(|(_, rest)| rest.split_once(']')).map(|(id, _)| id).next()?;
        let reply = daemon.client()?.get(&format!("/spawn_errors/{id}.json")).ok()?;
        serde_json::from_str(&reply.body).ok().filter(|_| reply.status == 200)
    }
}

fn ask(question: Question, daemon: &PrivateDaemon, events: &Events) {
    let (socket, events) = (daemon.socket(), events.sender.clone());
    thread::spawn(move || {
        let answer = question.ask(&socket);
        let _ = events.send(Event::Answered(answer));
    });
}
