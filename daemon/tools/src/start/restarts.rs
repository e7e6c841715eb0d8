//! Restarts of the app when its files change, in a thread. A file that changes again with each restart is ignored, as the
//! app itself writes it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::events::Event;
use super::options::Options;
use super::servers::DaemonClient;
use super::watch::{Rules, Watcher};
use crate::{list, text};

/// A file that causes more than this many restarts within `WINDOW` is ignored.
const MAX_RESTARTS: usize = 6;
const WINDOW: Duration = Duration::from_secs(20);

/// Watches the app's files; returns the problem if that is impossible.
pub(super) fn begin(options: &Options, daemon: DaemonClient, events: Sender<Event>) -> Result<(), String> {
    let mut watcher = Watcher::new(&options.root, Rules::new(&options.root, options.ignore.clone()))?;
    thread::spawn(move || {
        let end = follow(&mut watcher, &daemon, &events);
        let _ = events.send(Event::Note(end));
    });
    Ok(())
}

/// Follows the changes; returns why it cannot any longer.
fn follow(watcher: &mut Watcher, daemon: &DaemonClient, events: &Sender<Event>) -> String {
    let mut causes = Causes::default();
    loop {
        if let Some(problem) = watcher.take_problem() {
            let _ = events.send(Event::Note(problem));
        }
        let changed = match watcher.next_changes() {
            Ok(changed) => changed,
            Err(err) => return err,
        };
        let (changed, notes) = causes.without_loops(changed, Instant::now());
        for note in notes {
            let _ = events.send(Event::Note(note));
        }
        if changed.is_empty() {
            continue;
        }
        let _ = events.send(Event::Changed(changed));
        if let Err(err) = restart(daemon) {
            let _ = events.send(Event::Note(format!("cannot restart the app: {err}")));
        }
    }
}

/// Replaces all processes at once: requests wait for the new ones.
fn restart(daemon: &DaemonClient) -> Result<(), String> {
    let client = daemon.client()?;
    let pool = client.get_json("/pool.json")?;
    for group in list(&pool, "groups") {
        let order = json!({ "name": text(group, "name"), "restart_method": "blocking" });
        client.post("/pool/restart_app_group.json", &order)?;
    }
    Ok(())
}

/// The files that caused the last restarts.
#[derive(Debug, Default)]
struct Causes {
    by_file: HashMap<PathBuf, Vec<Instant>>,
    ignored: Vec<PathBuf>,
}

impl Causes {
    /// Removes files that change with each restart; returns the others, and messages about newly ignored ones.
    fn without_loops(&mut self, changed: Vec<PathBuf>, now: Instant) -> (Vec<PathBuf>, Vec<String>) {
        let mut notes = Vec::new();
        let is_recent = |at: &Instant| now.duration_since(*at) < WINDOW;
        self.by_file.retain(|_, times| times.iter().any(is_recent));
        let kept = changed.into_iter().filter(|path| {
            if self.ignored.contains(path) {
                return false;
            }
            let times = self.by_file.entry(path.clone()).or_default();
            times.retain(is_recent);
            times.push(now);
            if times.len() <= MAX_RESTARTS || is_source(path) {
                return true;
            }
            notes.push(loop_note(path));
            self.ignored.push(path.clone());
            false
        });
        (kept.collect(), notes)
    }
}

/// Whether people edit such files: one that is saved often is no loop.
fn is_source(path: &Path) -> bool {
    const ENDINGS: [&str; 12] =
        ["cjs", "css", "erb", "html", "js", "jsx", "mjs", "py", "rb", "ru", "ts", "tsx"];
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending))
}

fn loop_note(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "{} changed {MAX_RESTARTS} times within {} s, so the app seems to write it; it is ignored from now on. To ignore \
         it from the beginning: --ignore '{name}'",
        path.display(),
        WINDOW.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_app_writes_is_ignored_after_some_restarts() {
        let mut causes = Causes::default();
        let start = Instant::now();
        let both = || vec![PathBuf::from("/app/visits.json"), PathBuf::from("/app/app.py")];
        for round in 0..MAX_RESTARTS as u64 {
            let now = start + Duration::from_secs(round);
            assert_eq!(causes.without_loops(vec![both()[0].clone()], now).0.len(), 1);
        }
        let (changed, notes) = causes.without_loops(both(), start + WINDOW / 2);
        assert_eq!((changed.as_slice(), notes.len()), (&both()[1..], 1));
        assert!(notes[0].contains("--ignore 'visits.json'"), "{notes:?}");
        assert!(causes.without_loops(vec![both()[0].clone()], start + WINDOW * 3).0.is_empty());
    }

    #[test]
    fn saving_a_file_again_and_again_is_no_loop() {
        let mut causes = Causes::default();
        let start = Instant::now();
        for round in 0..20 {
            let now = start + Duration::from_secs(round);
            assert_eq!(causes.without_loops(vec!["/app/app.py".into()], now).1, [""; 0]);
            let now = start + WINDOW / 5 * round as u32;
            assert_eq!(causes.without_loops(vec!["/app/data.json".into()], now).1, [""; 0]);
        }
    }
}
