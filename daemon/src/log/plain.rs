//! A log line for people, in Passenger's frame. Control characters are escaped: what an app or a client wrote cannot
//! forge another line.

use std::fmt::{self, Write};

use super::said::Said;
use super::{Part, app_prefix};
use crate::sys::clock::LocalTime;

/// Writes a line. One that an app printed may go without the frame.
pub(super) fn write(out: &mut impl Write, part: Part, at: LocalTime, said: &Said<'_>) -> fmt::Result {
    if said.app.is_none() || app_prefix() {
        write_head(out, part, at, said)?;
        if let Some(app) = &said.app {
            write_whose(out, app.pid)?;
        }
    }
    escape(out, &said.text)?;
    out.write_char('\n')
}

fn write_head(out: &mut impl Write, part: Part, at: LocalTime, said: &Said<'_>) -> fmt::Result {
    let LocalTime { year, month, day, hour, minute, second, nanoseconds } = at;
    write!(
        out,
        "[ {} {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:04} {}/{} {} ]: ",
        said.severity.letter(),
        nanoseconds / 100_000,
        std::process::id(),
        part.name(),
        said.module,
    )
}

/// Passenger's words for what an app printed.
pub(super) fn write_whose(out: &mut impl Write, pid: i64) -> fmt::Result {
    write!(out, "App {pid} output: ")
}

/// Everything that could end the line, or reach into the terminal that shows it, is written in digits.
pub(super) fn escape(out: &mut impl Write, text: &str) -> fmt::Result {
    for character in text.chars() {
        match character {
            '\t' => out.write_char('\t')?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            control if control.is_control() => write!(out, "\\x{:02x}", u32::from(control))?,
            other if misleads(other) => write!(out, "\\u{{{:x}}}", u32::from(other))?,
            other => out.write_char(other)?,
        }
    }
    Ok(())
}

/// Characters that make a terminal or an editor show a line as another one, or as several: separators of lines and
/// paragraphs, and those that change the direction of what follows.
fn misleads(character: char) -> bool {
    matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::super::said::{AppLine, Severity};
    use super::*;

    const AT: LocalTime =
        LocalTime { year: 2026, month: 11, day: 3, hour: 6, minute: 7, second: 1, nanoseconds: 123_456_789 };

    fn line(text: &str, app: Option<AppLine>) -> String {
        let mut line = String::new();
        let said = Said { text: text.into(), severity: Severity::Notice, module: "spawn", app };
        write(&mut line, Part::Supervisor, AT, &said).unwrap();
        line.replace(&std::process::id().to_string(), "PID")
    }

    #[test]
    fn a_line_has_passengers_frame() {
        let framed = "[ N 2026-11-03 06:07:01.1234 PID/supervisor spawn ]: ";
        assert_eq!(line("up and listening", None), format!("{framed}up and listening\n"));
        let app = AppLine { name: "/app".into(), pid: 7 };
        assert_eq!(line("hello", Some(app)), format!("{framed}App 7 output: hello\n"));
    }

    #[test]
    fn nobody_makes_a_line_look_like_another() {
        let mut out = String::new();
        escape(&mut out, "a\u{202e}b\u{2066}c\u{2028}d\u{200f}e").unwrap();
        assert_eq!(out, "a\\u{202e}b\\u{2066}c\\u{2028}d\u{200f}e", "a mark of Arabic text is harmless");
    }

    #[test]
    fn nobody_forges_a_line() {
        let mut out = String::new();
        escape(&mut out, "tab\there\n[ C forged ]\r\x1b[31m \u{85}ü").unwrap();
        assert_eq!(out, "tab\there\\n[ C forged ]\\r\\x1b[31m \\x85ü");
    }
}
