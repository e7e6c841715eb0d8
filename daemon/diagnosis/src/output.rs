//! Output of a process without what its error report already contains.

/// Returns the lines of `output` without the block of lines that `details` consists of.
pub fn without_repetition(output: &str, details: &str) -> String {
    let repeated: Vec<&str> = details.trim().lines().map(str::trim_end).collect();
    let lines: Vec<&str> = output.lines().collect();
    let is_repeated =
        |window: &[&str]| window.iter().map(|line| line.trim_end()).eq(repeated.iter().copied());
    let at = if repeated.is_empty() { None } else { lines.windows(repeated.len()).position(is_repeated) };
    let Some(at) = at else { return output.to_owned() };
    let kept = lines[..at].iter().chain(&lines[at + repeated.len()..]);
    let kept: String = kept.flat_map(|line| [*line, "\n"]).collect();
    if kept.trim().is_empty() { String::new() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_is_shown_once() {
        let details = "Traceback:\n  File x\nKeyError\n";
        assert_eq!(
            without_repetition("hello\nTraceback:\n  File x\nKeyError\nbye\n", details),
            "hello\nbye\n"
        );
        assert_eq!(without_repetition(details, details), "");
        assert_eq!(without_repetition("hello\n", details), "hello\n");
        assert_eq!(without_repetition("hello\n", ""), "hello\n");
        assert_eq!(without_repetition("", details), "");
    }
}
