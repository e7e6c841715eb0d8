//! The log format for a service manager's journal, which adds time and process: the priority comes first, as in
//! `sd-daemon(3)`. The journal attributes the router's lines to the supervisor, so they name the router.

use std::fmt::{self, Write};

use super::explanation::Explanation;
use super::plain::{APP, escape, write_app_prefix};
use super::record::LogRecord;
use super::{Part, app_prefix};

/// Marks the router's lines, after the priority.
const ROUTER: &str = "router ";

/// Whether the line is from this part of the daemon. Without prefixes, output of apps is from the router.
pub(super) fn is_of(line: &str, part: Part, framed: bool) -> bool {
    let Some((priority, text)) = line.split_at_checked(3) else { return false };
    let is_priority = matches!(priority.as_bytes(), [b'<', b'2'..=b'7', b'>']);
    let is_app = !framed || text.starts_with(APP);
    is_priority && part == Part::Router && (text.starts_with(ROUTER) || is_app)
}

/// Writes a line.
pub(super) fn write(out: &mut impl Write, part: Part, record: &LogRecord<'_>) -> fmt::Result {
    let priority = record.severity.priority();
    write!(out, "<{priority}>")?;
    match record.printed_by() {
        None if part == Part::Router => write!(out, "{ROUTER}{}: ", record.module)?,
        None => write!(out, "{}: ", record.module)?,
        Some((name, pid)) if app_prefix() => write_app_prefix(out, name, pid)?,
        Some(_) => {}
    }
    escape(out, &record.text)?;
    out.write_char('\n')?;
    // Each line of the stream is an entry of its own.
    for line in record.explanation.iter().flat_map(Explanation::lines) {
        write!(out, "<{priority}>{} | ", part.name())?;
        escape(out, &line)?;
        out.write_char('\n')?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::Severity;

    #[test]
    fn the_priority_is_that_of_syslog() {
        for (severity, begin) in [(Severity::Critical, "<2>"), (Severity::Notice, "<5>")] {
            let mut line = String::new();
            write(
                &mut line,
                Part::Supervisor,
                &LogRecord {
                    text: "a\n<0>b".into(),
                    severity,
                    module: "spawn",
                    app: None,
                    event: None,
                    explanation: None,
                },
            )
            .unwrap();
            assert_eq!(line, format!("{begin}spawn: a\\n<0>b\n"));
        }
    }

    #[test]
    fn the_routers_lines_name_it() {
        let mut line = String::new();
        let record = LogRecord {
            text: "text".into(),
            severity: Severity::Notice,
            module: "pool",
            app: None,
            event: None,
            explanation: None,
        };
        write(&mut line, Part::Router, &record).unwrap();
        assert_eq!(line, "<5>router pool: text\n");
        assert!(is_of(line.trim_end(), Part::Router, true));
        assert!(is_of("<5>App 7 (shop) output: text", Part::Router, true));
        for forged in ["<5>pool: text", "text", "<0>router pool: text", "<5", ""] {
            assert!(!is_of(forged, Part::Router, true), "{forged}");
        }
        assert!(is_of("<5>hello", Part::Router, false));
    }
}
