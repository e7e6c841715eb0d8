//! Destinations of a line that an app prints: the daemon's log or the journal, and the app's log file.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use tracing::warn;

use super::app_log::{AppLogs, Writer};
use super::journal::{Journal, Source};
use super::log_limit::{LogLimit, OutputLimits};
use super::orphans::{Outputs, Reading};
use crate::app::route::Route;
use common::config::AppOutput;
use common::link::{ProcessId, ProcessRecord};
use common::log;

/// Maximum number of bytes kept until an app's file is open.
const MAX_PENDING: usize = 256 * 1024;

/// State that the outputs of all processes share.
#[derive(Debug)]
pub(crate) struct Places {
    journal: Option<RefCell<Rc<Journal>>>,
    pub(crate) files: Rc<AppLogs>,
    limits: OutputLimits,
    outputs: Rc<Outputs>,
}

/// Destinations of the lines of one process.
#[derive(Debug)]
pub(super) struct Lines {
    source: Rc<Source>,
    places: Rc<Places>,
    file: Option<Rc<Writer>>,
    /// Limit of lines in the log or the journal.
    limit: Arc<LogLimit>,
    /// Lines to be written to the file.
    for_file: String,
}

/// Destinations of the error report of a process: those of its output except for the daemon's log.
#[derive(Debug)]
pub(super) struct ReportPlaces {
    source: Rc<Source>,
    places: Rc<Places>,
    file: Option<Rc<Writer>>,
}

impl Places {
    /// Creates the destinations for `output`, with `limit` lines of an app per interval. Uses the log if there is no
    /// journal.
    pub(crate) fn new(output: AppOutput, limit: u64, files: Rc<AppLogs>) -> Rc<Self> {
        let journal = match output {
            AppOutput::Log => None,
            AppOutput::Journald => Journal::open()
                .inspect_err(|why| {
                    warn!("cannot connect to the journal: {why}; app output is written to the log")
                })
                .ok(),
        };
        let journal = journal.map(|journal| RefCell::new(Rc::new(journal)));
        Rc::new(Self { journal, files, limits: OutputLimits::new(limit), outputs: Outputs::new() })
    }

    /// Registers the output of this process; the result must be kept while the output is read.
    pub(super) fn reading(&self, route: &Route, record: &ProcessRecord) -> Reading {
        self.outputs.open(&route.name, record.process)
    }

    /// Records the end of a process: from now on only processes that it left behind hold its output open.
    pub(crate) fn ended(&self, process: ProcessId) {
        self.outputs.ended(process);
    }

    /// Writes a line to the journal; false when the log must be used instead.
    async fn to_journal(&self, source: &Source, line: &str) -> bool {
        let Some(place) = &self.journal else { return false };
        let line = log::app_message(source.pid, line);
        let journal = place.borrow().clone();
        if journal.write(source, &line).await.is_ok() {
            return true;
        }
        // The journal may have been restarted.
        match Journal::open() {
            Ok(journal) => {
                let journal = Rc::new(journal);
                *place.borrow_mut() = journal.clone();
                journal.write(source, &line).await.is_ok()
            }
            Err(_) => false,
        }
    }

    /// Returns the destinations of this process's output.
    pub(super) fn lines(self: &Rc<Self>, route: &Route, record: &ProcessRecord) -> Lines {
        let source = Source {
            app: route.name.clone(),
            identifier: identifier(&route.name, &route.root),
            pid: record.pid,
        };
        let file = route.settings.router.app_log_file.as_deref().map(|file| {
            // A relative path is relative to the app's root.
            Rc::new(self.files.of(&route.root.join(file), record))
        });
        let limit = self.limits.of(&route.name);
        Lines { source: Rc::new(source), places: self.clone(), file, limit, for_file: String::new() }
    }
}

impl Lines {
    /// Writes a line that the process has printed, without its line end.
    pub(super) async fn write(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        if self.file.is_some() && self.for_file.len() < MAX_PENDING {
            self.for_file += &log::app_line_in_file(&self.source.app, self.source.pid, line);
        }
        if self.limit.admits_line(line.len()) && !self.places.to_journal(&self.source, line).await {
            log::app_line(&self.source.app, self.source.pid, line);
        }
    }

    /// Writes all pending lines to the file.
    pub(super) async fn flush(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| !self.for_file.is_empty()) else { return };
        if file.log.is_open() {
            file.log.write(std::mem::take(&mut self.for_file)).await;
        } else if file.log.is_failing() {
            self.for_file = String::new();
        }
    }

    /// Writes the pending lines of a process that has ended, perhaps before its file was open.
    pub(super) async fn finish(self) {
        if let Some(file) = self.file.filter(|_| !self.for_file.is_empty()) {
            file.log.write_when_open(self.for_file).await;
        }
    }

    /// Returns the destinations of the process's error report.
    pub(super) fn report_places(&self) -> ReportPlaces {
        let Self { source, places, file, .. } = self;
        ReportPlaces { source: source.clone(), places: places.clone(), file: file.clone() }
    }
}

impl ReportPlaces {
    /// Writes all lines of the report.
    pub(super) async fn write(self, report: &str) {
        let Source { app, pid, .. } = &*self.source;
        if let Some(file) = &self.file {
            let lines = report.lines().map(|line| log::app_line_in_file(app, *pid, line)).collect();
            file.log.write_when_open(lines).await;
        }
        for line in report.lines() {
            if !self.places.to_journal(&self.source, line).await {
                return;
            }
        }
    }
}

/// Returns the group's name if the operator chose one, else that of the app's directory; skips Capistrano's `current`.
fn identifier(name: &str, root: &Path) -> String {
    if !name.starts_with('/') {
        return name.to_owned();
    }
    let named = root.iter().rev().filter_map(|part| part.to_str()).find(|part| *part != "current");
    named.filter(|part| *part != "/").unwrap_or("app").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_a_short_name_of_an_app() {
        for (name, root, expected) in [
            ("/srv/shop (production)", "/srv/shop", "shop"),
            ("/srv/shop/current (staging)", "/srv/shop/current", "shop"),
            ("billing", "/srv/shop", "billing"),
            ("/ (production)", "/", "app"),
        ] {
            assert_eq!(identifier(name, Path::new(root)), expected);
        }
    }
}
