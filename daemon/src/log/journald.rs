//! A log line for a service manager's journal, which knows time and process: the priority in front, as `sd-daemon(3)`
//! has it.

use std::fmt::{self, Write};

use super::app_prefix;
use super::plain::{escape, write_whose};
use super::said::Said;

/// Writes a line.
pub(super) fn write(out: &mut impl Write, said: &Said<'_>) -> fmt::Result {
    write!(out, "<{}>", said.severity.priority())?;
    match &said.app {
        None => write!(out, "{}: ", said.module)?,
        Some(app) if app_prefix() => write_whose(out, app.pid)?,
        Some(_) => {}
    }
    escape(out, &said.text)?;
    out.write_char('\n')
}

#[cfg(test)]
mod tests {
    use super::super::said::Severity;
    use super::*;

    #[test]
    fn the_priority_is_syslogs() {
        for (severity, begin) in [(Severity::Critical, "<2>"), (Severity::Notice, "<5>")] {
            let mut line = String::new();
            write(&mut line, &Said { text: "a\n<0>b".into(), severity, module: "spawn", app: None }).unwrap();
            assert_eq!(line, format!("{begin}spawn: a\\n<0>b\n"));
        }
    }
}
