//! What the user sees: lines of the app as it prints them, and lines of this program, in the terminal and the log file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The beginning of lines that are not the app's.
const OWN: &str = "passenger: ";

/// The destinations of the output.
#[derive(Debug)]
pub(super) struct Output {
    terminal: bool,
    file: Option<File>,
}

impl Output {
    /// Opens the log file, if there is one. In the background there is no terminal.
    pub(super) fn new(file: Option<&Path>, terminal: bool) -> Result<Self, String> {
        let open = |path: &Path| {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(|err| format!("cannot open the log file {}: {err}", path.display()))
        };
        Ok(Self { terminal, file: file.map(open).transpose()? })
    }

    /// Prints lines of this program.
    pub(super) fn say(&mut self, text: &str) {
        for line in text.lines() {
            self.print(&format!("{OWN}{}", coloured_only(line)));
        }
    }

    /// Prints a line of the app.
    pub(super) fn app_line(&mut self, text: &str) {
        self.print(&coloured_only(text));
    }

    fn print(&mut self, line: &str) {
        // A closed pipe or a full disk must not end the app.
        if self.terminal {
            let _ = writeln!(io::stdout().lock(), "{line}");
        }
        if let Some(file) = &mut self.file {
            let _ = writeln!(file, "{line}");
        }
    }
}

/// Removes control characters other than tabs, line ends and sequences that select colours: an app may print what a client
/// has sent.
fn coloured_only(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = if character == '\u{1b}' { colour(rest) } else { 0 };
        if length > 0 {
            kept.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        let is_harmful = character.is_control() && !matches!(character, '\t' | '\n')
            || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character != '\r' {
            kept.push(if is_harmful { '?' } else { character });
        }
        rest = &rest[character.len_utf8()..];
    }
    kept
}

/// Returns the length of the sequence that selects a colour at the beginning of the text; 0 if there is none.
fn colour(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else { return 0 };
    let length = parameters.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if parameters.as_bytes().get(length) == Some(&b'm') { 2 + length + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_remain_and_other_sequences_do_not() {
        assert_eq!(coloured_only("\u{1b}[1;31mred\u{1b}[0m\tx"), "\u{1b}[1;31mred\u{1b}[0m\tx");
        assert_eq!(coloured_only("\u{1b}[2Jgone\u{1b}]0;title\u{7}\r"), "?[2Jgone?]0;title?");
        assert_eq!(coloured_only("ü\u{202e}\u{1b}"), "ü??");
    }
}
