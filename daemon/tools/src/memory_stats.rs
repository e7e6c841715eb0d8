//! Tables of `passenger-memory-stats`: memory of the processes of nginx, the daemon and the apps, from `/proc`.
//!
//! Private memory is freed when a process ends; reading it from `smaps_rollup` requires the process's user or root.

use std::fmt::Write;
use std::thread;

use procfs::process::{MemoryMap, Process, SmapsRollup, all_processes};

use super::printable;

/// A process in a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pid: i32,
    parent: i32,
    /// Address space, in KiB; `None` when it cannot be read.
    virtual_kib: Option<u64>,
    /// Private memory, in KiB; `None` when it cannot be read.
    private_kib: Option<u64>,
    name: String,
}

/// The table of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// nginx's master and worker processes.
    Nginx,
    /// The daemon and the apps.
    Passenger,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        const OURS: [&str; 3] = ["flying-passenger", "flying-router", "Passenger"];
        let program = name.split([' ', ':']).next().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default();
        if name.starts_with("nginx: ") || program == "nginx" {
            return Some(Self::Nginx);
        }
        let loader = ["rack-loader.rb", "wsgi-loader.py", "loaders/nodejs", "loaders/ruby", "loaders/python"];
        let ours = OURS.contains(&program)
            || HELPERS.contains(&program)
            || loader.iter().any(|word| name.contains(word));
        ours.then_some(Self::Passenger)
    }
}

/// Returns the processes of one kind, by PID. Reading `smaps_rollup` is slow, so there is one thread per CPU.
pub(super) fn rows(kind: Kind) -> Vec<Row> {
    let processes = all_processes().into_iter().flatten().flatten();
    let named = processes.filter_map(|process| Some((name(&process)?, process)));
    let mut named: Vec<_> = named.filter(|(name, _)| Kind::of(name) == Some(kind)).collect();
    named.sort_by_key(|(_, process)| process.pid);
    let share = named.len().div_ceil(thread::available_parallelism().map_or(1, usize::from)).max(1);
    thread::scope(|scope| {
        let read = |some: &[(String, Process)]| some.iter().filter_map(|(name, it)| row(name, it)).collect();
        let shares = named.chunks(share).map(|some| scope.spawn(move || read(some)));
        // Start all threads before waiting for the first.
        let shares: Vec<_> = shares.collect();
        shares.into_iter().flat_map(|share| share.join().unwrap_or_else(|_| Vec::new())).collect()
    })
}

/// Names of the supervisor's helper processes, which check apps' files, write the log, or remove directories.
const HELPERS: [&str; 3] = ["flying-stat", "flying-log", "flying-sweep"];

/// Returns the command line or title of a process; `None` for a kernel thread.
fn name(process: &Process) -> Option<String> {
    let arguments = process.cmdline().ok().filter(|arguments| !arguments.is_empty())?;
    let comm = process.stat().ok()?.comm;
    let name = if HELPERS.contains(&comm.as_str()) { comm } else { arguments.join(" ") };
    Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
}

fn row(name: &str, process: &Process) -> Option<Row> {
    let status = process.status().ok()?;
    let private = |rollup: SmapsRollup| rollup.memory_map_rollup.iter().find_map(private_dirty);
    Some(Row {
        pid: process.pid,
        parent: status.ppid,
        virtual_kib: status.vmsize,
        private_kib: process.smaps_rollup().ok().and_then(private),
        name: name.to_owned(),
    })
}

/// Returns the private memory of a mapping, in KiB.
fn private_dirty(map: &MemoryMap) -> Option<u64> {
    Some(map.extension.map.get("Private_Dirty")? / 1024)
}

/// Renders one table with its totals; the parent column is optional.
pub(super) fn render(title: &str, rows: &[Row], with_parents: bool) -> String {
    let mut header = vec!["PID", "PPID", "VMSize", "Private", "Name"];
    let cells = |row: &Row| {
        let mut cells = vec![row.pid.to_string(), row.parent.to_string()];
        cells.extend([megabytes(row.virtual_kib), megabytes(row.private_kib), printable(&row.name)]);
        cells
    };
    let mut table: Vec<_> = rows.iter().map(cells).collect();
    if !with_parents {
        header.remove(1);
        table.iter_mut().for_each(|cells| drop(cells.remove(1)));
    }
    let width = |column: usize| {
        let longest = table.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        longest.max(header[column].len())
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(&header);
    let mut out = format!(
        "{:-^1$}\n{head}\n{2}\n",
        format!(" {title} "),
        head.len().max(title.len() + 4),
        "-".repeat(head.len())
    );
    for cells in &table {
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        out.push_str(&line(&cells));
        out.push('\n');
    }
    let unknown = if rows.iter().any(|row| row.private_kib.is_none()) { " (?)" } else { "" };
    let total: u64 = rows.iter().filter_map(|row| row.private_kib).sum();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "### Processes: {}", rows.len());
    let _ = writeln!(out, "### Total private dirty RSS: {:.2} MB{unknown}", total as f64 / 1024.0);
    out
}

fn megabytes(kib: Option<u64>) -> String {
    kib.map_or_else(|| "?".to_owned(), |kib| format!("{:.1} MB", kib as f64 / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_stable_for_scripts() {
        let row = |pid, name: &str, private_kib| Row {
            pid,
            parent: 1,
            virtual_kib: Some(20_480),
            private_kib,
            name: name.into(),
        };
        let rows = [row(7, "nginx: master process", Some(1536)), row(12345, "nginx: worker process", None)];
        let expected = "\
--- Nginx processes ---
PID    PPID  VMSize   Private  Name
-----------------------------------
7      1     20.0 MB  1.5 MB   nginx: master process
12345  1     20.0 MB  ?        nginx: worker process
### Processes: 2
### Total private dirty RSS: 1.50 MB (?)
";
        let shown = render("Nginx processes", &rows, true);
        assert_eq!(shown.lines().skip(1).collect::<Vec<_>>(), expected.lines().skip(1).collect::<Vec<_>>());
        assert!(shown.starts_with("---") && shown.lines().next().unwrap().contains(" Nginx processes "));
        assert!(!render("Passenger processes", &rows, false).contains("PPID"));
    }

    #[test]
    fn processes_are_classified_by_their_names() {
        for (name, kind) in [
            ("nginx: worker process", Some(Kind::Nginx)),
            ("/usr/sbin/flying-passenger --socket-file=/run/x", Some(Kind::Passenger)),
            ("Passenger RubyApp: /srv/shop (production)", Some(Kind::Passenger)),
            ("ruby /usr/share/flying-passenger/loaders/ruby/rack-loader.rb", Some(Kind::Passenger)),
            ("vim nginx.conf", None),
            ("bash", None),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }
}
