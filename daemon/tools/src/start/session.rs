//! The life of a running app: from the start of its servers until a signal, or until a server fails.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::address;
use super::background::Background;
use super::events::{Event, Events};
use super::found_app::FoundApp;
use super::options::Options;
use super::output::Output;
use super::pid_file::PidFile;
use super::restarts;
use super::running::{RunningApp, RuntimeDir, usual_log_file};
use super::servers::{Servers, reachable};
use super::transcript::Transcript;
use crate::Outcome;
use crate::private::log_line::LogLine;
use crate::private::process::Logged;
use common::sys::clock;

/// Interval of checks whether the gate accepts connections, until it does.
const POLL_INTERVAL: Duration = Duration::from_millis(30);
/// Maximum time until it does.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of changed files in a message.
const SHOWN_FILES: usize = 3;

/// A running app.
struct Session<'s> {
    options: &'s Options,
    app: &'s FoundApp,
    runtime: &'s RuntimeDir,
    events: &'s Events,
    address: SocketAddr,
    output: Output,
    transcript: Transcript,
    servers: Servers,
    is_up: bool,
    background: Background,
    started: Instant,
    /// The last lines of the two servers, which say why one has ended.
    last_error: Option<String>,
}

/// Runs the app until it is stopped.
pub(super) fn run(
    options: &Options,
    app: &FoundApp,
    runtime: &RuntimeDir,
    events: &Events,
    background: Background,
) -> Outcome {
    let address = address::choose(options.address, options.port)?;
    let log_file = match (&options.log_file, background.is_background()) {
        (None, true) => Some(usual_log_file(&options.root)?),
        (given, _) => given.clone(),
    };
    let output = Output::new(log_file.as_deref(), !background.is_background())?;
    let _pid_file = options.pid_file.as_deref().map(PidFile::write).transpose()?;
    let mut state = RunningApp {
        pid: std::process::id() as i32,
        root: options.root.clone(),
        url: String::new(),
        port: address.port(),
        environment: options.environment.clone(),
        started_ms: clock::now_ms(),
        log_file,
    };
    runtime.publish(&state)?;
    let servers = Servers::start(options, runtime, address, events)?;
    let started = Instant::now();
    let mut session = Session {
        options,
        app,
        runtime,
        events,
        address,
        output,
        transcript: Transcript::new(options.watch),
        servers,
        started,
        is_up: false,
        background,
        last_error: None,
    };
    let result = session.follow(&mut state);
    if result.is_ok() {
        session.output.say("stopping");
    }
    result.map(|()| ExitCode::SUCCESS)
}

impl Session<'_> {
    /// Follows the events until the app is stopped; fails if a server ends by itself.
    fn follow(&mut self, state: &mut RunningApp) -> Result<(), String> {
        loop {
            let event = match self.next_event() {
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                event => event.ok(),
            };
            match event {
                Some(Event::Stop) => return Ok(()),
                Some(Event::Daemon(Logged::Line(line))) => self.daemon_line(&line)?,
                Some(Event::Gate(Logged::Line(line))) => self.gate_line(&line),
                Some(Event::Daemon(Logged::Ended)) => return Err(self.ended("daemon")),
                Some(Event::Gate(Logged::Ended)) => return Err(self.ended("gate")),
                Some(Event::Changed(files)) => {
                    let files = self.names(&files);
                    self.transcript.restarting(&mut self.output);
                    self.output.say(&format!("changed: {files}; restarting"));
                }
                Some(Event::Note(text)) => self.output.say(&text),
                None if !self.is_up && self.started.elapsed() > START_TIMEOUT => {
                    return Err(format!("nothing listens on {} after 30 s", self.address));
                }
                None => {}
            }
            self.transcript.tick(&mut self.output);
            if !self.is_up && self.servers.accept_connections(self.address) {
                self.is_up = true;
                self.announce(state)?;
            }
        }
    }

    fn next_event(&self) -> Result<Event, RecvTimeoutError> {
        if self.is_up && !self.transcript.is_holding() && !self.transcript.is_pending() {
            return self.events.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected);
        }
        self.events.receiver.recv_timeout(POLL_INTERVAL)
    }

    fn daemon_line(&mut self, line: &LogLine) -> Result<(), String> {
        if line.event == "listening" {
            self.servers.start_gate(self.events)?;
            if self.options.watch {
                let client = self.servers.client();
                let begun = restarts::begin(self.options, client, self.events.sender.clone());
                begun.unwrap_or_else(|problem| self.output.say(&problem));
            }
        }
        self.remember(line);
        self.transcript.line(line, &mut self.output);
        Ok(())
    }

    fn gate_line(&mut self, line: &LogLine) {
        self.remember(line);
        if self.is_up {
            self.transcript.line(line, &mut self.output);
        }
    }

    fn remember(&mut self, line: &LogLine) {
        if line.is_error() && line.app_pid.is_none() {
            self.last_error = Some(line.message.clone());
        }
    }

    fn ended(&mut self, which: &str) -> String {
        let why = self.last_error.take().unwrap_or_else(|| "it reported no reason".to_owned());
        format!("the private {which} has ended: {why}")
    }

    /// Prints what runs where, and lets `stop` and `status` find it.
    fn announce(&mut self, state: &mut RunningApp) -> Result<(), String> {
        state.url = format!("http://{}/", reachable(self.address));
        self.runtime.publish(state)?;
        let entry_point = &self.app.entry_point;
        self.output.say(&format!(
            "{} is {}; starts {entry_point} in the environment {}",
            self.options.root.display(),
            self.app.description,
            self.options.environment
        ));
        if self.address.ip().is_unspecified() {
            self.output.say("other machines can connect, because of --address");
        }
        let restarts = if self.options.watch { "it restarts when its files change; " } else { "" };
        let stops = if self.background.is_background() { "passenger stop" } else { "Ctrl-C" };
        self.output.say(&format!("{restarts}{stops} stops it"));
        self.output.say(&state.url);
        Ok(())
    }

    fn names(&self, files: &[std::path::PathBuf]) -> String {
        let root = &self.options.root;
        let name = |path: &std::path::PathBuf| {
            let below = path.strip_prefix(root).unwrap_or(path);
            if below.as_os_str().is_empty() { "many files".to_owned() } else { below.display().to_string() }
        };
        let shown: Vec<_> = files.iter().take(SHOWN_FILES).map(name).collect();
        let more = files.len().saturating_sub(SHOWN_FILES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        shown.join(", ") + &more
    }
}
