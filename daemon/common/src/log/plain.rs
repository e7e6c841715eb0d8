//! Passenger's log format. Control characters are escaped, so that output of an app or a client cannot forge another
//! line.

use std::fmt::{self, Write};

use super::explanation::{is_plain_of, plain_mark};
use super::record::LogRecord;
use super::{Source, app_prefix};
use crate::sys::clock::DateTime;

/// Writes a line, and those that follow it. One printed by an app may have no prefix.
pub(super) fn write(
    out: &mut impl Write,
    source: Source,
    at: DateTime,
    record: &LogRecord<'_>,
) -> fmt::Result {
    let printed_by = record.printed_by();
    if printed_by.is_none() || app_prefix() || is_plain_of(&record.text, source.part) {
        write_head(out, source, at, record)?;
        if let Some((name, pid)) = printed_by {
            write_app_prefix(out, name, pid)?;
        }
    }
    escape(out, &record.text)?;
    out.write_char('\n')?;
    for line in record.explanation.iter().flat_map(super::explanation::Explanation::lines) {
        out.write_str(&plain_mark(source.part))?;
        escape(out, &line)?;
        out.write_char('\n')?;
    }
    Ok(())
}

/// The pattern of the beginning of a line: `A` is a capital letter, `9` a digit.
pub(super) const BEGIN: &str = "[ A 9999-99-99 ";
/// The pattern that follows it.
const TIME: &str = "99:99:99.9999 ";

/// Whether the line has a prefix, from any source.
pub(super) fn is_framed(line: &str) -> bool {
    after(BEGIN, line).is_some()
}

/// Whether the line has a prefix that names `source`, or follows one of its part.
pub(super) fn is_of(line: &str, source: Source) -> bool {
    if is_plain_of(line, source.part) {
        return true;
    }
    let named = format!("{}/{} ", source.pid, source.part.name());
    let module =
        after(BEGIN, line).and_then(|line| after(TIME, line)).and_then(|line| line.strip_prefix(&named));
    let module = module.and_then(|line| line.split_once(" ]: "));
    module.is_some_and(|(module, _)| !module.contains(' '))
}

/// Returns what follows a beginning of the line that matches `pattern`.
pub(super) fn after<'l>(pattern: &str, line: &'l str) -> Option<&'l str> {
    let (begin, rest) = line.split_at_checked(pattern.len())?;
    let fits = |(pattern, byte): (u8, u8)| match pattern {
        b'A' => byte.is_ascii_uppercase(),
        b'9' => byte.is_ascii_digit(),
        other => byte == other,
    };
    pattern.bytes().zip(begin.bytes()).all(fits).then_some(rest)
}

fn write_head(out: &mut impl Write, source: Source, at: DateTime, record: &LogRecord<'_>) -> fmt::Result {
    write!(
        out,
        "[ {} {} {}/{} {} ]: ",
        record.severity.letter(),
        at.strftime("%Y-%m-%d %H:%M:%S.%4f"),
        source.pid,
        source.part.name(),
        record.module,
    )
}

/// The beginning of Passenger's prefix of app output.
pub(super) const APP: &str = "App ";

/// Writes Passenger's prefix of app output, with the app's name.
pub(super) fn write_app_prefix(out: &mut impl Write, name: &str, pid: i64) -> fmt::Result {
    write!(out, "{APP}{pid} ")?;
    if !name.is_empty() {
        out.write_char('(')?;
        escape(out, name)?;
        out.write_str(") ")?;
    }
    out.write_str("output: ")
}

/// Escapes every character that could end the line or affect a terminal that shows it.
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

/// Whether a terminal or an editor could show a line with this character as another line or as several: separators of
/// lines and paragraphs, and characters that change the text direction.
fn misleads(character: char) -> bool {
    matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;
    use crate::log::explanation::Explanation;
    use crate::log::record::{AppLine, Severity};

    const AT: DateTime = DateTime::constant(2026, 11, 3, 6, 7, 1, 123_456_789);

    const SOURCE: Source = Source { part: Part::Supervisor, pid: 4711 };

    fn line(text: &str, app: Option<AppLine>) -> String {
        let mut line = String::new();
        let record = LogRecord {
            text: text.into(),
            severity: Severity::Notice,
            module: "spawn",
            app,
            event: None,
            explanation: None,
        };
        write(&mut line, SOURCE, AT, &record).unwrap();
        line
    }

    #[test]
    fn a_line_has_passengers_frame() {
        let framed = "[ N 2026-11-03 06:07:01.1234 4711/supervisor spawn ]: ";
        assert_eq!(line("up and listening", None), format!("{framed}up and listening\n"));
        let app = AppLine { name: "shop".into(), pid: Some(7) };
        assert_eq!(line("hello", Some(app)), format!("{framed}App 7 (shop) output: hello\n"));
    }

    #[test]
    fn an_explanation_follows_in_marked_lines() {
        let explanation = Explanation {
            cause: "x".into(),
            remedy: "repair it".into(),
            details: "Traceback:\n  File\r \u{1b}[0m\n".into(),
        };
        let text = "could not be started".into();
        let record = LogRecord { explanation: Some(explanation), ..LogRecord::warning("spawn", text) };
        let mut written = String::new();
        write(&mut written, SOURCE, AT, &record).unwrap();
        let mark = "    supervisor | ";
        let head = "[ W 2026-11-03 06:07:01.1234 4711/supervisor spawn ]: could not be started";
        let lines = [
            head,
            &format!("{mark}what to do: repair it"),
            &format!("{mark}Traceback:"),
            &format!("{mark}  File\\r \\x1b[0m"),
        ];
        assert_eq!(written.lines().collect::<Vec<_>>(), lines);
        assert!(written.lines().all(|line| is_of(line, SOURCE)));
        let router = Source { part: Part::Router, ..SOURCE };
        assert!(!written.lines().any(|line| is_of(line, router)), "each line names its part");
    }

    #[test]
    fn a_frame_names_one_source() {
        let line = line("up and listening ]: x", None);
        assert!(is_framed(&line) && is_of(&line, SOURCE));
        for other in [Source { part: Part::Router, ..SOURCE }, Source { pid: 471, ..SOURCE }] {
            assert!(!is_of(&line, other), "{other:?}");
        }
        for none in
            ["", "[ N 2026-11-03", "[info] hello", "[ N 2026-11-03 06:07:01.1234 4711/supervisor ]: x"]
        {
            assert!(!is_of(none, SOURCE), "{none}");
        }
    }

    #[test]
    fn control_characters_cannot_fake_another_line() {
        let mut out = String::new();
        escape(&mut out, "a\u{202e}b\u{2066}c\u{2028}d\u{200f}e").unwrap();
        assert_eq!(out, "a\\u{202e}b\\u{2066}c\\u{2028}d\u{200f}e", "a mark of Arabic text is harmless");
    }

    #[test]
    fn a_forged_line_is_rejected() {
        let mut out = String::new();
        escape(&mut out, "tab\there\n[ C forged ]\r\x1b[31m \u{85}ü").unwrap();
        assert_eq!(out, "tab\there\\n[ C forged ]\\r\\x1b[31m \\x85ü");
    }
}
