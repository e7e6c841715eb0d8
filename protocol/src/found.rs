//! What was found in an application's directory, as the field `start_command` of [`AppRef`](crate::request::AppRef) has
//! it: a command for a generic application, a startup file for the kinds with a loader.
//!
//! ```text
//! # why it was chosen
//! the command, or the path of the file relative to the application's directory
//! ```
//!
//! The field is empty where the kind's usual startup file is to be used, and has no first line where the command is
//! configured. An older daemon ignores the file, and its shell ignores the first line of a command.

/// Longest reason that is accepted, in bytes.
const MAX_REASON: usize = 200;

const MARK: &str = "# ";

/// What a request's `start_command` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Why it was chosen; `None` where it was not found in the application's directory but configured.
    pub reason: Option<&'a str>,
    /// The command or the startup file.
    pub value: &'a str,
}

impl<'a> Found<'a> {
    /// Parses the field. A reason that is not short printable text is part of the value.
    pub fn parse(field: &'a str) -> Self {
        let found = field.strip_prefix(MARK).and_then(|rest| rest.split_once('\n'));
        match found {
            Some((reason, value)) if is_reason(reason) => Self { reason: Some(reason), value },
            _ => Self { reason: None, value: field },
        }
    }
}

/// Returns the field for something that was found. Characters that a reason cannot have are replaced.
pub fn encode(reason: &str, value: &str) -> String {
    let printable = |c: char| if c.is_control() { '?' } else { c };
    let mut reason: String = reason.chars().map(printable).collect();
    while reason.len() > MAX_REASON {
        reason.pop();
    }
    format!("{MARK}{reason}\n{value}")
}

fn is_reason(text: &str) -> bool {
    text.len() <= MAX_REASON && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_comes_back_with_its_reason() {
        let field = encode("\"web\" of Procfile", "cd x\n./serve");
        assert_eq!(field, "# \"web\" of Procfile\ncd x\n./serve");
        let found = Found { reason: Some("\"web\" of Procfile"), value: "cd x\n./serve" };
        assert_eq!(Found::parse(&field), found);
    }

    #[test]
    fn a_configured_command_is_unchanged() {
        for command in ["", "./serve $PORT", "# only a comment", "#!/bin/sh\n./serve"] {
            assert_eq!(Found::parse(command), Found { reason: None, value: command });
        }
    }

    #[test]
    fn a_reason_is_one_short_line_of_printable_text() {
        let field = encode(&format!("a\nb\u{1b}[0m{}", "\u{e4}".repeat(200)), "x");
        let found = Found::parse(&field);
        assert_eq!(found.value, "x");
        assert!(found.reason.is_some_and(|reason| reason.starts_with("a?b?[0m") && reason.len() <= 200));
        let forged = format!("# {}\nx", "a".repeat(201));
        assert_eq!(Found::parse(&forged), Found { reason: None, value: &forged });
        let forged = "# a\u{1b}b\nx";
        assert_eq!(Found::parse(forged).reason, None);
    }
}
