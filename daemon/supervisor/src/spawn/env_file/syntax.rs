//! The syntax of environment files: the common part of systemd's `EnvironmentFile=` and of `.env` files.
//!
//! Where these read an unquoted value in different ways, the line is refused; `$` is never expanded. Errors contain the
//! number of the line and nothing of its content, which may be secret.

use super::Variables;

/// Longest value: the kernel's limit for one variable, with its name and `=`.
const MAX_VARIABLE: usize = 128 * 1024 - 1;

/// Why a file is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub(super) struct SyntaxError {
    line: usize,
    why: &'static str,
}

/// Parses a file. Of two lines with the same name, the later one applies.
pub(super) fn parse(bytes: &[u8]) -> Result<Variables, SyntaxError> {
    let fail = |position: usize, why| {
        let before = bytes.get(..position).unwrap_or(bytes);
        SyntaxError { line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(), why }
    };
    let text = std::str::from_utf8(bytes).map_err(|err| fail(err.valid_up_to(), "it is not UTF-8"))?;
    if let Some(position) = text.find('\0') {
        return Err(fail(position, "it contains a NUL"));
    }
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Variables::new();
    while !rest.is_empty() {
        let position = text.len() - rest.len();
        let (variable, after) = statement(rest).map_err(|why| fail(position, why))?;
        if let Some((name, value)) = variable {
            variables.retain(|(known, _)| *known != name);
            variables.push((name, value));
        }
        rest = after;
    }
    Ok(variables)
}

type Statement<'t> = (Option<(String, String)>, &'t str);

/// Parses a line, or several where a quoted value contains line breaks. Returns what follows it.
fn statement(text: &str) -> Result<Statement<'_>, &'static str> {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
        return Ok((None, after));
    }
    let start = line.trim_start();
    let start = start.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(start);
    let start = start.trim_start();
    let Some((name, _)) = start.split_once('=') else {
        return Err("it has no \"=\": write NAME=VALUE");
    };
    if name.ends_with([' ', '\t']) {
        return Err("there is a space before \"=\"");
    }
    if !is_name(name) {
        return Err("a name consists of letters, digits and \"_\", and does not begin with a digit");
    }
    // The value begins in this line and may end in a later one.
    let begin = line.len() - start.len() + name.len() + 1;
    let (value, after) = value(text.get(begin..).unwrap_or_default().trim_start_matches([' ', '\t']))?;
    if name.len() + value.len() > MAX_VARIABLE {
        return Err("the value is too long");
    }
    Ok((Some((name.to_owned(), value)), after))
}

fn is_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Parses a value, and returns what follows its line.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    match text.chars().next() {
        Some('\'') => {
            let (value, after) = text[1..].split_once('\'').ok_or(UNCLOSED)?;
            Ok((value.to_owned(), end_of_line(after)?))
        }
        Some('"') => {
            let (value, after) = double_quoted(&text[1..])?;
            Ok((value, end_of_line(after)?))
        }
        _ => unquoted(text),
    }
}

const UNCLOSED: &str = "a quote is not closed";

/// Returns the value and what follows the closing quote. As in `.env` files, `\n`, `\r` and `\t` are control characters.
fn double_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(escaped @ ('"' | '\\' | '$' | '`')) => value.push(escaped),
                Some(other) => value.extend(['\\', other]),
                None => {}
            },
            other => value.push(other),
        }
    }
    Err(UNCLOSED)
}

fn unquoted(text: &str) -> Result<(String, &str), &'static str> {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let value = line.trim();
    if value.contains(" #") || value.contains("\t#") {
        return Err("quote the value: systemd and others disagree whether \" #\" begins a comment");
    }
    if value.contains('\\') {
        return Err("quote the value: it contains a backslash");
    }
    Ok((value.to_owned(), after))
}

/// Returns what follows the line, which has no more than a comment.
fn end_of_line(text: &str) -> Result<&str, &'static str> {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let rest = line.trim();
    let is_comment = rest.starts_with('#') && line.starts_with([' ', '\t']);
    if rest.is_empty() || is_comment { Ok(after) } else { Err("there is text after the closing quote") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).unwrap_or_else(|err| panic!("{text:?}: {err}"))
    }

    fn value_of(line: &str) -> String {
        let all = parsed(line);
        assert_eq!(all.len(), 1, "{line:?}");
        all[0].1.clone()
    }

    #[test]
    fn comments_and_export_are_accepted() {
        let text = "\u{feff}# a\r\n; b\n\n  export A=1\r\nexport\tB= two words \nC=\nexport=x\nA=3";
        let expected = [("B", "two words"), ("C", ""), ("export", "x"), ("A", "3")];
        assert_eq!(parsed(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn quotes_end_a_value() {
        for (line, value) in [
            ("A='a \\n $B \"c\" #d'", "a \\n $B \"c\" #d"),
            (r#"A="a\"b\\c\$d\`e\nf\x""#, "a\"b\\c$d`e\nf\\x"),
            ("A=\"\"  # comment", ""),
            ("A='first\nsecond'\n", "first\nsecond"),
            ("A=\"-----BEGIN\nkey\n-----END\"\n", "-----BEGIN\nkey\n-----END"),
            ("A={\"json\": 1}", "{\"json\": 1}"),
            ("A=pg://u:p@h/d?x=1#y", "pg://u:p@h/d?x=1#y"),
            ("A=$HOME", "$HOME"),
        ] {
            assert_eq!(value_of(line), value, "{line}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, why) in [
            ("A=1\nB", 2, "write NAME=VALUE"),
            ("export A", 1, "write NAME=VALUE"),
            ("A = 1", 1, "space before"),
            ("A='x\n\n'\n1A=2", 4, "does not begin with a digit"),
            ("LD-X=2", 1, "letters, digits"),
            ("=2", 1, "letters, digits"),
            ("A='x", 1, "not closed"),
            ("A=\"x\\\"", 1, "not closed"),
            ("A='x'y", 1, "after the closing quote"),
            ("A='x'#y", 1, "after the closing quote"),
            ("A=x # y", 1, "begins a comment"),
            ("A=x\\", 1, "backslash"),
            ("A=1\nB=\0", 2, "NUL"),
        ] {
            let err = parse(text.as_bytes()).unwrap_err();
            assert!(err.line == line && err.why.contains(why), "{text:?}: {err}");
        }
        assert_eq!(parse(b"A=1\nB=\xff").unwrap_err(), SyntaxError { line: 2, why: "it is not UTF-8" });
    }

    #[test]
    fn a_value_is_limited_by_what_the_kernel_accepts() {
        let line = |len: usize| format!("A={}", "x".repeat(len));
        assert!(parse(line(MAX_VARIABLE - 1).as_bytes()).is_ok());
        assert!(parse(line(MAX_VARIABLE).as_bytes()).is_err());
    }
}
