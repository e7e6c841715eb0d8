//! Where a line that an app prints goes: the daemon's log or the journal, and the app's own file.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use tracing::warn;

use super::app_log::{AppLogs, Writer};
use super::journal::{Journal, Source};
use super::limit::{Limit, Limits};
use super::orphans::{Outputs, Reading};
use crate::app::route::Route;
use common::config::AppOutput;
use common::link::{ProcessId, ProcessRecord};
use common::log;

/// Most that waits for an app's file to be opened, in bytes.
const MOST_FOR_FILE: usize = 256 * 1024;

/// What every process's output needs.
#[derive(Debug)]
pub(crate) struct Places {
    journal: Option<RefCell<Rc<Journal>>>,
    pub(crate) files: Rc<AppLogs>,
    limits: Limits,
    outputs: Rc<Outputs>,
}

/// Where the lines of one process go.
#[derive(Debug)]
pub(super) struct Lines {
    source: Source,
    places: Rc<Places>,
    file: Option<Writer>,
    /// Of what goes to the log or the journal.
    limit: Rc<Limit>,
    /// What is to be written to the file.
    for_file: String,
}

impl Places {
    /// As the operator wants it, `limit` lines of an app in an interval. Without a journal everything is in the log.
    pub(crate) fn new(output: AppOutput, limit: u64, files: Rc<AppLogs>) -> Rc<Self> {
        let journal = match output {
            AppOutput::Log => None,
            AppOutput::Journald => Journal::open()
                .inspect_err(|why| warn!("what apps print goes to the log: there is no journal here: {why}"))
                .ok(),
        };
        let journal = journal.map(|journal| RefCell::new(Rc::new(journal)));
        Rc::new(Self { journal, files, limits: Limits::new(limit), outputs: Outputs::new() })
    }

    /// To be held while the output of this process is read.
    pub(super) fn reading(&self, route: &Route, record: &ProcessRecord) -> Reading {
        self.outputs.open(&route.name, record.process)
    }

    /// The process has ended: who still holds its output open is a process that it has left behind.
    pub(crate) fn ended(&self, process: ProcessId) {
        self.outputs.ended(process);
    }

    /// For the output of this process.
    pub(super) fn lines(self: &Rc<Self>, route: &Route, record: &ProcessRecord) -> Lines {
        let source = Source {
            app: route.name.clone(),
            identifier: identifier(&route.name, &route.root),
            pid: record.pid,
        };
        let file = route.settings.log_file.as_deref().map(|file| {
            // One that is not absolute lies in the app.
            self.files.of(&route.root.join(file), record)
        });
        let limit = self.limits.of(&route.name);
        Lines { source, places: self.clone(), file, limit, for_file: String::new() }
    }
}

impl Lines {
    /// Takes a line that the process has printed, without its end.
    pub(super) async fn write(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        if self.file.is_some() && self.for_file.len() < MOST_FOR_FILE {
            self.for_file += &log::app_line_in_file(&self.source.app, self.source.pid, line);
        }
        if self.limit.admits(line.len()) && !self.to_journal(line).await {
            log::app_line(&self.source.app, self.source.pid, line);
        }
    }

    /// Everything that has come is to be where it belongs.
    pub(super) async fn flush(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| !self.for_file.is_empty()) else { return };
        if file.is_open() {
            file.write(std::mem::take(&mut self.for_file)).await;
        } else if file.fails() {
            self.for_file = String::new();
        }
    }

    /// The same, of a process that has ended, perhaps before its file was open.
    pub(super) async fn finish(self) {
        if let Some(file) = self.file.filter(|_| !self.for_file.is_empty()) {
            file.write_when_open(self.for_file).await;
        }
    }

    /// False when it has to go to the log.
    async fn to_journal(&self, line: &str) -> bool {
        let Some(place) = &self.places.journal else { return false };
        let line = log::app_message(self.source.pid, line);
        let journal = place.borrow().clone();
        if journal.write(&self.source, &line).await.is_ok() {
            return true;
        }
        // It may have been started anew.
        match Journal::open() {
            Ok(journal) => {
                let journal = Rc::new(journal);
                *place.borrow_mut() = journal.clone();
                journal.write(&self.source, &line).await.is_ok()
            }
            Err(_) => false,
        }
    }
}

/// The name of the group when the operator chose one, else that of the app's directory: Capistrano's `current` is none.
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
    fn an_app_is_known_by_a_short_name() {
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
