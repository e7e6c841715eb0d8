//! The lines that follow the message of an event: what to do, and details such as a backtrace. Each is marked with the
//! part of the daemon that wrote it, so that no output of an app looks like one.

use super::Part;

/// Most lines of details: the first half and the last half of a longer text are written.
const MAX_LINES: usize = 100;
/// The indentation of a line in the plain format.
const INDENT: &str = "    ";
/// Separates the mark from the text.
const SEPARATOR: &str = " | ";

/// The parts of an event that explain it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Explanation {
    /// The cause, which the message contains, too.
    pub(super) cause: String,
    /// What to do.
    pub(super) remedy: String,
    /// Any number of lines.
    pub(super) details: String,
}

impl Explanation {
    /// Returns the lines that follow the message.
    pub(super) fn lines(&self) -> Vec<String> {
        let remedy = (!self.remedy.is_empty()).then(|| format!("what to do: {}", self.remedy));
        let mut lines: Vec<String> = remedy.into_iter().collect();
        lines.extend(self.shortened().lines().map(str::to_owned));
        lines
    }

    /// Returns the details without the middle of a text that is too long.
    pub(super) fn shortened(&self) -> String {
        let all: Vec<&str> = self.details.trim_end().lines().collect();
        if all.len() <= MAX_LINES {
            return self.details.trim_end().to_owned();
        }
        let (first, rest) = all.split_at(MAX_LINES / 2);
        let (omitted, last) = rest.split_at(rest.len() - MAX_LINES / 2);
        format!("{}\n… {} lines …\n{}", first.join("\n"), omitted.len(), last.join("\n"))
    }
}

/// Returns the beginning of a following line in the plain format.
pub(super) fn plain_mark(part: Part) -> String {
    format!("{INDENT}{}{SEPARATOR}", part.name())
}

/// Whether the line follows a message of this part in the plain format.
pub(super) fn is_plain_of(line: &str, part: Part) -> bool {
    line.starts_with(&plain_mark(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        let details = (0..1000).map(|n| format!("line {n}\n")).collect();
        let explanation = Explanation { details, ..Explanation::default() };
        let lines = explanation.lines();
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert_eq!((lines[0].as_str(), lines[MAX_LINES].as_str()), ("line 0", "line 999"));
        assert_eq!(lines[MAX_LINES / 2], "… 900 lines …");
    }
}
