//! How one program tells the next what it is started for: the first word of its command line, which no operator types.

use std::ffi::OsString;
use std::os::fd::RawFd;

use super::state::FORMAT;

/// Whether the program could take over from one that packs in this format.
const WOULD: &str = "would-take-over=";
/// It is to take over; what was packed is in the file of this number.
const DO: &str = "take-over=";

/// What a program is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMode {
    /// By an operator or a service manager.
    Normal,
    /// By the daemon that runs, which wants to know whether this program could take over.
    Preflight {
        /// It could, as far as its release goes.
        would: bool,
    },
    /// In the place of the daemon that ran before in this process.
    TakeOver(RawFd),
}

/// The beginning that a command line means, and the command line without that.
pub fn start_mode(words: impl Iterator<Item = OsString>) -> (StartMode, Vec<OsString>) {
    let mut words: Vec<_> = words.collect();
    let start_mode = words.get(1).and_then(|word| read(word.to_str()?));
    if start_mode.is_some() {
        words.remove(1);
    }
    (start_mode.unwrap_or(StartMode::Normal), words)
}

fn read(word: &str) -> Option<StartMode> {
    if let Some(format) = word.strip_prefix(WOULD) {
        return Some(StartMode::Preflight { would: format.parse() == Ok(FORMAT) });
    }
    word.strip_prefix(DO)?.parse().ok().map(StartMode::TakeOver)
}

/// The same command line for the next program, as a question.
pub(super) fn preflight() -> Vec<OsString> {
    with(format!("{WOULD}{FORMAT}"))
}

/// The same command line for the next program, which is to take over.
pub(super) fn take_over(packed: RawFd) -> Vec<OsString> {
    with(format!("{DO}{packed}"))
}

fn with(word: String) -> Vec<OsString> {
    let (_, mut words) = start_mode(std::env::args_os());
    words.insert(words.len().min(1), word.into());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> (StartMode, Vec<String>) {
        let (start_mode, left) = start_mode(words.iter().map(OsString::from));
        (start_mode, left.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn the_first_word_tells_and_is_taken_away() {
        let usual = vec!["fly".to_owned(), "--x=1".to_owned()];
        assert_eq!(read(&["fly", "--x=1"]), (StartMode::Normal, usual.clone()));
        assert_eq!(read(&["fly", "take-over=7", "--x=1"]), (StartMode::TakeOver(7), usual.clone()));
        let known = format!("would-take-over={FORMAT}");
        assert_eq!(read(&["fly", &known, "--x=1"]), (StartMode::Preflight { would: true }, usual.clone()));
        let newer = format!("would-take-over={}", FORMAT + 1);
        assert_eq!(read(&["fly", &newer, "--x=1"]), (StartMode::Preflight { would: false }, usual));
        assert_eq!(read(&["fly", "--x", "take-over=7"]).0, StartMode::Normal);
        assert_eq!(read(&["fly"]), (StartMode::Normal, vec!["fly".to_owned()]));
    }
}
