//! What happened: from the start of the private daemon to the app's answer. Lines of the log, the answer and Ctrl-C
//! come in as events; what is worth a diagnosis goes out.

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

/// How often it is looked on which ports the app listens.
const LOOK: Duration = Duration::from_millis(200);
/// Most time for what was said before the answer, and is read after it.
const SETTLE: Duration = Duration::from_secs(1);
/// Most time until the daemon takes connections.
const UP: Duration = Duration::from_secs(20);

/// How it went.
#[derive(Debug, Default)]
pub(super) struct AppRun {
    /// What the daemon and the app said.
    pub(super) log: Vec<String>,
    /// Steps of starts that succeeded.
    pub(super) steps: Vec<String>,
    /// On which ports the app's processes listened.
    pub(super) ports: BTreeSet<u16>,
    pub(super) answer: Option<Result<Answer, String>>,
    /// The report of the start that failed.
    pub(super) report: Option<Value>,
    /// The daemon itself did not come up.
    pub(super) no_daemon: bool,
    pub(super) interrupted: bool,
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the app to become ready, or to fail.
    pub(super) start: Duration,
    /// For its answer.
    pub(super) answer: Duration,
}

impl Patience {
    /// As the app is configured, unless somebody says otherwise.
    pub(super) fn of(app: &TestedApp, timeout: Option<u64>) -> Self {
        const ANSWER: u64 = 60;
        // The daemon gives the app up first, and tells why.
        const MARGIN: u64 = 10;
        let start = Duration::from_secs(app.start_timeout().saturating_add(MARGIN));
        Self { start, answer: Duration::from_secs(timeout.unwrap_or(ANSWER)) }
    }

    /// For both.
    pub(super) fn in_all(self) -> Duration {
        self.start.saturating_add(self.answer)
    }
}

impl AppRun {
    /// Follows the daemon until the app has answered, or it is clear that it will not. `show` is given each line.
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

    /// What was logged before the answer may come after it.
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

    /// The report whose ID the log has told.
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
