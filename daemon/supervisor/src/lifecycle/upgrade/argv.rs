//! The start mode of a program in its command line: a first argument that the daemon adds and operators do not use.

use std::ffi::OsString;
use std::os::fd::RawFd;

use super::state::FORMAT;

/// Asks whether the program could take over from one that packs in this format.
const WOULD: &str = "would-take-over=";
/// Makes the program take over; the packed state is in the descriptor of this number.
const DO: &str = "take-over=";

/// How a program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMode {
    /// By an operator or a service manager.
    Normal,
    /// By the running daemon, which checks whether this program could take over.
    Preflight {
        /// Whether its release can read the packed state.
        would: bool,
    },
    /// In place of the daemon that ran before in this process.
    TakeOver(RawFd),
}

/// Returns the start mode of a command line, and the command line without it.
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

/// Returns the command line for a preflight of the next program.
pub(super) fn preflight() -> Vec<OsString> {
    with(format!("{WOULD}{FORMAT}"))
}

/// Returns the command line for the next program, which takes over.
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
    fn the_first_argument_sets_the_mode_and_is_removed() {
        let usual = vec!["fly".to_owned(), "--x=1".to_owned()];
        assert_eq!(read(&["fly", "--x=1"]), (StartMode::Normal, usual.clone()));
        assert_eq!(read(&["fly", "take-over=7", "--x=1"]), (StartMode::TakeOver(7), usual.clone()));
        let known = format!("would-take-over={FORMAT}");
        assert_eq!(read(&["fly", &known, "--x=1"]), (StartMode::Preflight { would: true }, usual.clone()));
        let newer = format!("would-take-over={}", FORMAT + 1);
        assert_eq!(read(&["fly", &newer, "--x=1"]), (StartMode::Preflight { would: false }, usual));
        // Builds with format 1 may pack app modes under another name.
        let older = read(&["fly", "would-take-over=1"]).0;
        assert_eq!(older, StartMode::Preflight { would: false });
        assert_eq!(read(&["fly", "--x", "take-over=7"]).0, StartMode::Normal);
        assert_eq!(read(&["fly"]), (StartMode::Normal, vec!["fly".to_owned()]));
    }
}
