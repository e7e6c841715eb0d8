//! The JSON log format: one object per line, the time in UTC.

use std::fmt::{self, Write};

use serde::Serialize;

use super::Source;
use super::explanation::Explanation;
use super::record::LogRecord;
use crate::sys::clock::DateTime;

/// The object; its keys have this order.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    pid: u32,
    part: &'static str,
    module: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_pid: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    message: &'a str,
}

/// Writes a line; `at` is in UTC. JSON escapes every character that could end the line; the other control characters
/// are escaped here.
pub(super) fn write(
    out: &mut impl Write,
    source: Source,
    at: DateTime,
    record: &LogRecord<'_>,
) -> fmt::Result {
    let line = Line {
        time: format!("{at:.6}Z"),
        level: record.severity.name(),
        pid: source.pid,
        part: source.part.name(),
        module: record.module,
        app: record.app.as_ref().map(|app| app.name.as_str()),
        app_pid: record.app.as_ref().and_then(|app| app.pid),
        event: record.event.as_ref().map(|(event, _)| event.as_str()),
        detail: record.event.as_ref().map(|(_, detail)| detail.as_str()),
        cause: record.explanation.as_ref().map(|explanation| explanation.cause.as_str()),
        remedy: record.explanation.as_ref().map(|explanation| explanation.remedy.as_str()),
        details: record.explanation.as_ref().map(Explanation::shortened),
        message: &record.text,
    };
    let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
    for character in text.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                write!(out, "\\u{:04x}", u32::from(character))?;
            }
            other => out.write_char(other)?,
        }
    }
    out.write_char('\n')
}

/// Whether the line is an object as [`write`] produces it, key by key, and names `source`. Nothing is decoded: strings
/// are only skipped.
pub(super) fn is_of(line: &str, source: Source) -> bool {
    parts_of(line, source).is_some_and(str::is_empty)
}

fn parts_of(line: &str, source: Source) -> Option<&str> {
    let line = after_text(line.strip_prefix("{\"time\":")?)?;
    let line = after_text(line.strip_prefix(",\"level\":")?)?;
    let named = format!(",\"pid\":{},\"part\":\"{}\",\"module\":", source.pid, source.part.name());
    let mut line = after_text(line.strip_prefix(&named)?)?;
    if let Some(app) = line.strip_prefix(",\"app\":") {
        line = after_text(app)?;
    }
    if let Some(pid) = line.strip_prefix(",\"app_pid\":") {
        line = pid.trim_start_matches(|character: char| character == '-' || character.is_ascii_digit());
    }
    for key in [",\"event\":", ",\"detail\":", ",\"cause\":", ",\"remedy\":", ",\"details\":"] {
        if let Some(value) = line.strip_prefix(key) {
            line = after_text(value)?;
        }
    }
    after_text(line.strip_prefix(",\"message\":")?)?.strip_prefix('}')
}

/// Returns what follows a string.
fn after_text(line: &str) -> Option<&str> {
    let inside = line.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    inside.get(end + 1..)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Part;
    use super::*;
    use crate::log::record::{AppLine, Severity};

    const AT: DateTime = DateTime::constant(2026, 11, 3, 6, 7, 1, 123_456_789);

    const SOURCE: Source = Source { part: Part::Router, pid: 4711 };

    #[test]
    fn a_line_is_an_object_whatever_an_app_prints() {
        let text = "\"quoted\"\n\u{1b}[31m \u{85}\u{7f} ü \\";
        let app = Some(AppLine { name: "/srv/shop".into(), pid: Some(7) });
        let event = Some(("listening".into(), "\"/run/x\"".into()));
        let explanation = Explanation {
            cause: "a \"cause\"".into(),
            remedy: "a\nremedy".into(),
            details: "Traceback:\n  line\n".into(),
        };
        let record = LogRecord {
            text: text.into(),
            severity: Severity::Notice,
            module: "app",
            app,
            event,
            explanation: Some(explanation),
        };
        let mut line = String::new();
        write(&mut line, SOURCE, AT, &record).unwrap();
        assert!(is_of(line.trim_end(), SOURCE), "{line}");
        assert_eq!(line.chars().filter(|character| character.is_control()).count(), 1, "{line}");
        let value: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({
            "time": "2026-11-03T06:07:01.123456Z", "level": "notice", "pid": 4711, "part": "router",
            "module": "app", "app": "/srv/shop", "app_pid": 7, "event": "listening", "detail": "\"/run/x\"",
            "cause": "a \"cause\"", "remedy": "a\nremedy", "details": "Traceback:\n  line",
            "message": text,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn messages_of_the_daemon_name_no_app() {
        let record = LogRecord {
            text: "up".into(),
            severity: Severity::Critical,
            module: "main",
            app: None,
            event: None,
            explanation: None,
        };
        let mut line = String::new();
        write(&mut line, Source { part: Part::Supervisor, ..SOURCE }, AT, &record).unwrap();
        assert!(!is_of(line.trim_end(), SOURCE), "{line}");
        assert!(line.contains("\"level\":\"crit\"") && !line.contains("app"), "{line}");
    }
}
