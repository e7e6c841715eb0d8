//! The automatic check of every log of every test.

use std::fs;
use std::path::{Path, PathBuf};

/// A line with one of these fails the test that caused it.
const ALARMING: &[&str] = &[
    "panic",
    "[alert]",
    "[emerg]",
    "[crit]",
    "AddressSanitizer",
    "ThreadSanitizer",
    "runtime error:",
    "Invalid read of size",
    "Invalid write of size",
    "uninitialised value",
    "Segmentation fault",
];

/// The alarming lines of these logs, except the `expected` ones.
pub(crate) fn alarming_lines(logs: &[PathBuf], expected: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for log in logs {
        let text = read(log);
        let alarming = text.lines().filter(|line| ALARMING.iter().any(|word| line.contains(word)));
        let unexpected = alarming.filter(|line| !expected.iter().any(|text| line.contains(text.as_str())));
        found.extend(unexpected.map(|line| format!("{}: {line}", log.display())));
    }
    found
}

/// A log's text; empty if it does not exist. It need not be UTF-8, because apps write any bytes.
pub(crate) fn read(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}

/// The end of each log, for the report of a failed test.
pub(crate) fn print_tails(logs: &[PathBuf]) {
    const LINES: usize = 120;
    for log in logs {
        let text = read(log);
        let count = text.lines().count();
        eprintln!("──── {} ({count} lines)", log.display());
        for line in text.lines().skip(count.saturating_sub(LINES)) {
            eprintln!("{line}");
        }
    }
}
