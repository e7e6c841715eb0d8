//! Which log lines the user sees, and in which order. What a process prints before it is ready is held for a moment: if the
//! start fails, the cause comes first; if it fails again for the same reason, nothing is shown.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::output::Output;
use crate::private::log_line::LogLine;

/// How long the first lines of a process are held; longer starts are shown as they happen.
const HOLD: Duration = Duration::from_secs(2);
/// A start that takes longer is mentioned.
const SLOW: Duration = Duration::from_secs(10);
const IS_SLOW: &str =
    "the app is not ready after 10 s: it still loads, or does not listen on the port in the variable PORT";
/// More lines than this are not held.
const MAX_HELD: usize = 500;
/// What precedes the cause in a message without a field for it.
const BEFORE_CAUSE: &str = "could not be started: ";

/// What precedes the interpreter in the daemon's account of what a process runs.
const BEFORE_INTERPRETER: &str = ", with ";

/// The state of what was shown.
#[derive(Debug)]
pub(super) struct Transcript {
    /// Whether the app restarts when its files change.
    watch: bool,
    /// Processes that are or were ready.
    ready: HashSet<i32>,
    held: Vec<String>,
    held_since: Option<Instant>,
    /// Why the last start failed, if nothing has started since.
    failure: Option<String>,
    /// The interpreter of the last process, if it was found by the app's files.
    interpreter: String,
    /// The last start or restart.
    started: Instant,
    /// When a process was started whose readiness or failure is not known; `None` once its duration was mentioned.
    pending_since: Option<Instant>,
}

impl Transcript {
    pub(super) fn new(watch: bool) -> Self {
        Self {
            watch,
            ready: HashSet::new(),
            held: Vec::new(),
            held_since: None,
            failure: None,
            interpreter: String::new(),
            started: Instant::now(),
            pending_since: None,
        }
    }

    /// Begins again: the app is restarted.
    pub(super) fn restarting(&mut self, output: &mut Output) {
        self.release(output);
        self.failure = None;
        self.started = Instant::now();
    }

    /// Whether `tick` has something to do soon.
    pub(super) fn is_holding(&self) -> bool {
        !self.held.is_empty() && self.failure.is_none()
    }

    /// Whether `tick` has something to do later.
    pub(super) fn is_pending(&self) -> bool {
        self.pending_since.is_some()
    }

    /// Shows lines that were held long enough.
    pub(super) fn tick(&mut self, output: &mut Output) {
        if self.is_holding() && self.held_since.is_some_and(|since| since.elapsed() > HOLD) {
            self.release(output);
        }
        if self.pending_since.is_some_and(|since| since.elapsed() > SLOW) {
            self.pending_since = None;
            output.say(IS_SLOW);
        }
    }

    /// Shows a line of the daemon, or of the app, if the user needs it.
    pub(super) fn line(&mut self, line: &LogLine, output: &mut Output) {
        if let Some(pid) = line.app_pid {
            for text in line.message.lines() {
                self.app_line(pid, text, output);
            }
            return;
        }
        match line.event.as_str() {
            "process_ready" => {
                self.pending_since = None;
                self.release(output);
                self.failure = None;
                self.ready.extend(line.detail.parse::<i32>());
                let seconds = self.started.elapsed().as_secs_f64();
                let program = program(&line.detail);
                output.say(&format!("process {}{program} is ready, after {seconds:.1} s", line.detail));
            }
            "process_starting" => self.pending_since = Some(Instant::now()),
            "process_entry" => self.runs(&line.detail, output),
            "start_failed" => self.start_failed(line, output),
            // The page in the browser shows why.
            "request_failed" if self.failure.is_some() => {}
            // The router reports the end of a process that served, or of a start.
            "" if line.part == "supervisor" && line.message.starts_with("process ") => {}
            _ if line.is_error() || line.level == "warn" => output.say(&line.message),
            _ => {}
        }
    }

    /// Shows the interpreter of a process, if it was found by the app's files and is not that of the last process.
    fn runs(&mut self, entry: &str, output: &mut Output) {
        // The startup file was shown at the beginning.
        let Some((_, interpreter)) = entry.split_once(BEFORE_INTERPRETER) else { return };
        if interpreter != self.interpreter {
            output.say(&format!("runs with {interpreter}"));
            interpreter.clone_into(&mut self.interpreter);
        }
    }

    fn app_line(&mut self, pid: i32, text: &str, output: &mut Output) {
        if self.ready.contains(&pid) || self.held.len() >= MAX_HELD {
            self.release(output);
            output.app_line(text);
            return;
        }
        self.held_since.get_or_insert_with(Instant::now);
        if self.held_since.is_some_and(|since| since.elapsed() > HOLD) && self.failure.is_none() {
            output.app_line(text);
        } else {
            self.held.push(text.to_owned());
        }
    }

    fn start_failed(&mut self, line: &LogLine, output: &mut Output) {
        self.pending_since = None;
        let cause = if line.cause.is_empty() { cause(&line.message) } else { line.cause.clone() };
        if self.failure.as_ref() == Some(&cause) {
            self.held.clear();
        } else {
            output.say(&format!("the app does not start: {cause}"));
            output.say(&line.remedy);
            line.backtrace().for_each(|text| output.app_line(text));
            self.release(output);
            let next = if self.watch { "save a file" } else { "reload the page" };
            output.say(&format!("{next} to try again; the page in the browser has the details"));
            self.failure = Some(cause);
        }
        self.held_since = None;
    }

    /// Shows the lines that were held.
    fn release(&mut self, output: &mut Output) {
        for line in std::mem::take(&mut self.held) {
            output.app_line(&line);
        }
        if self.failure.is_some() {
            self.held_since = None;
        }
    }
}

/// Returns the program of a process, as an addition to its PID.
fn program(pid: &str) -> String {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"));
    program.map(|path| format!(" ({})", path.display())).unwrap_or_default()
}

/// Returns the cause from a message: the first line, without the app and the error ID.
fn cause(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let cause = first.split_once(BEFORE_CAUSE).map_or(first, |(_, cause)| cause);
    cause.split(" [error ID ").next().unwrap_or(cause).to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::temp_dir::TempDir;

    use super::*;

    fn app(pid: i32, message: &str) -> LogLine {
        LogLine { app_pid: Some(pid), message: message.to_owned(), ..LogLine::default() }
    }

    fn event(event: &str, detail: &str, message: &str) -> LogLine {
        let [event, detail, message] = [event, detail, message].map(str::to_owned);
        LogLine { event, detail, message, level: "error".to_owned(), ..LogLine::default() }
    }

    fn failed(cause: &str) -> LogLine {
        event(
            "start_failed",
            "abc",
            &format!("app /x: could not be started: {cause} [error ID abc]\nsteps: none"),
        )
    }

    /// Returns what is shown of these lines; `None` is a restart.
    fn shown(lines: &[Option<LogLine>]) -> Vec<String> {
        let dir = TempDir::new("fp-transcript").unwrap();
        let path = dir.join("log");
        let mut output = Output::new(Some(&path), false).unwrap();
        let mut transcript = Transcript::new(true);
        for line in lines {
            match line {
                Some(line) => transcript.line(line, &mut output),
                None => transcript.restarting(&mut output),
            }
        }
        fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_start_that_takes_long_is_mentioned_once() {
        let dir = TempDir::new("fp-transcript-slow").unwrap();
        let path = dir.join("log");
        let mut output = Output::new(Some(&path), false).unwrap();
        let mut transcript = Transcript::new(true);
        transcript.line(&event("process_starting", "", ""), &mut output);
        transcript.tick(&mut output);
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), transcript.is_pending()), ("", true));
        transcript.pending_since = Instant::now().checked_sub(2 * SLOW);
        transcript.tick(&mut output);
        transcript.tick(&mut output);
        assert_eq!(fs::read_to_string(&path).unwrap().matches(IS_SLOW).count(), 1);
        transcript.line(&event("process_starting", "", ""), &mut output);
        transcript.line(&event("process_ready", "7", ""), &mut output);
        assert!(!transcript.is_pending());
    }

    #[test]
    fn the_cause_of_a_failed_start_comes_first_and_once() {
        let one = [Some(app(7, "Traceback:")), Some(app(7, "  line 3")), Some(failed("a syntax error"))];
        let lines = shown(&[one.clone(), one].concat());
        assert_eq!(
            lines,
            [
                "passenger: the app does not start: a syntax error",
                "Traceback:",
                "  line 3",
                "passenger: save a file to try again; the page in the browser has the details",
            ]
        );
    }

    #[test]
    fn another_cause_and_the_same_after_a_restart_are_shown() {
        let lines = shown(&[Some(failed("one")), Some(failed("two")), None, Some(failed("two"))]);
        let causes = lines.iter().filter(|line| line.contains("does not start")).count();
        assert_eq!(causes, 3, "{lines:?}");
    }

    #[test]
    fn lines_of_a_process_that_becomes_ready_precede_the_message() {
        let lines = shown(&[
            Some(app(7, "loading")),
            Some(event("process_entry", "app.py (found), with /x/python", "")),
            Some(event("process_ready", "7", "app /x: process 7 is ready")),
            Some(app(7, "GET /")),
        ]);
        assert_eq!((lines[0].as_str(), lines[1].as_str()), ("passenger: runs with /x/python", "loading"));
        assert_eq!(lines[3], "GET /");
        assert!(lines[2].starts_with("passenger: process 7 is ready, after 0."), "{lines:?}");
    }
}
