//! Parsing of a directive's arguments into typed values.

use std::fmt;

use protocol::settings::Value;

/// The type of a directive's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `on` or `off`.
    Flag,
    /// A number >= 0.
    Number,
    /// A number >= 1.
    Count,
    /// A number >= 0, or -1 for the default, which no other number expresses.
    NumberOrMinusOne,
    /// A time: a number of seconds, or with nginx's units, such as `90`, `90s` or `1m 30s`.
    Seconds,
    /// Any text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A name and its value; may be repeated.
    Map,
    /// A text; may be repeated.
    List,
}

/// Why a directive was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is configured twice on one level.
    Duplicate,
    /// A message that names the directive and the accepted values.
    Sentence(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => f.write_str("is duplicate"),
            Self::Sentence(text) => f.write_str(text),
        }
    }
}

impl Kind {
    /// Parses the arguments of `directive`.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] worded like nginx's own for flags.
    pub fn parse(self, directive: &str, args: &[&str]) -> Result<Value, Refusal> {
        let first = args.first().copied().unwrap_or_default();
        Ok(match self {
            Self::Flag => Value::Flag(flag(directive, first)?),
            Self::Number => Value::Number(at_least(0, "", directive, first)?),
            Self::Count => Value::Number(at_least(1, "", directive, first)?),
            Self::NumberOrMinusOne if first == "-1" => Value::Number(-1),
            Self::NumberOrMinusOne => Value::Number(at_least(0, ", or -1", directive, first)?),
            Self::Seconds => Value::Number(seconds(first).ok_or_else(|| no_time(directive, first))?),
            Self::Text => Value::Text(first.to_owned()),
            Self::OneOf(words) => Value::Text(one_of(directive, first, words)?),
            Self::Map => Value::Map(vec![pair(args)]),
            Self::List => Value::List(vec![first.to_owned()]),
        })
    }

    /// Returns how many arguments the directive takes.
    pub const fn arity(self) -> u8 {
        match self {
            Self::Map => 2,
            _ => 1,
        }
    }
}

/// Parses `on` or `off`, in any case.
///
/// # Errors
///
/// nginx's own message for anything else.
pub fn flag(directive: &str, word: &str) -> Result<bool, Refusal> {
    if word.eq_ignore_ascii_case("on") {
        Ok(true)
    } else if word.eq_ignore_ascii_case("off") {
        Ok(false)
    } else {
        Err(Refusal::Sentence(format!(
            "invalid value \"{word}\" in \"{directive}\" directive, it must be \"on\" or \"off\""
        )))
    }
}

fn number(word: &str) -> Option<i64> {
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    word.parse().ok()
}

/// Parses a time. Passenger accepted seconds without a unit; nginx's units are accepted as well.
fn seconds(word: &str) -> Option<i64> {
    let mut rest = word;
    let mut total = 0_i64;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, behind) = rest.split_at(digits);
        let scale = match behind.chars().next() {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 60 * 60,
            Some('d') => 24 * 60 * 60,
            Some(_) => return None,
        };
        total = number(count)?.checked_mul(scale)?.checked_add(total)?;
        rest = behind.get(1..).unwrap_or_default().trim_start();
        if rest.is_empty() {
            return Some(total);
        }
    }
}

fn at_least(least: i64, or: &str, directive: &str, word: &str) -> Result<i64, Refusal> {
    number(word).filter(|number| *number >= least).ok_or_else(|| {
        Refusal::Sentence(format!(
            "invalid number \"{word}\" in \"{directive}\" directive, it must be {least} or more{or}"
        ))
    })
}

fn no_time(directive: &str, word: &str) -> Refusal {
    Refusal::Sentence(format!(
        "invalid time \"{word}\" in \"{directive}\" directive, it must be a number of seconds such as \"90\", or have \
         units as in \"1m 30s\""
    ))
}

fn one_of(directive: &str, word: &str, words: &[&str]) -> Result<String, Refusal> {
    if words.contains(&word) {
        return Ok(word.to_owned());
    }
    let choice = words.join("\", \"");
    Err(Refusal::Sentence(format!(
        "invalid value \"{word}\" in \"{directive}\" directive, it must be one of \"{choice}\""
    )))
}

fn pair(args: &[&str]) -> (String, String) {
    let text = |at: usize| args.get(at).copied().unwrap_or_default().to_owned();
    (text(0), text(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_in_any_case() {
        assert_eq!(Kind::Flag.parse("x", &["ON"]), Ok(Value::Flag(true)));
        assert_eq!(Kind::Flag.parse("x", &["off"]), Ok(Value::Flag(false)));
    }

    #[test]
    fn a_flag_is_refused_in_nginx_words() {
        let refused = Kind::Flag.parse("passenger_enabled", &["yes"]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "invalid value \"yes\" in \"passenger_enabled\" directive, it must be \"on\" or \"off\""
        );
    }

    #[test]
    fn rejects_what_is_no_number() {
        for word in ["", "-1", "+1", "1k", "99999999999999999999"] {
            let refused = Kind::Number.parse("x", &[word]).unwrap_err().to_string();
            assert_eq!(
                refused,
                format!("invalid number \"{word}\" in \"x\" directive, it must be 0 or more")
            );
        }
        assert_eq!(Kind::Number.parse("x", &["0"]), Ok(Value::Number(0)));
    }

    #[test]
    fn a_time_is_seconds_or_has_units() {
        for (word, expected) in
            [("90", 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("1m 30s", 90), ("1d", 86400)]
        {
            assert_eq!(Kind::Seconds.parse("x", &[word]), Ok(Value::Number(expected)), "{word}");
        }
        for word in ["", "s", "-1", "1ms", "1x", "m1", "9223372036854775807m"] {
            let refused = Kind::Seconds.parse("x", &[word]).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("invalid time \"{word}\" in \"x\" directive")), "{refused}");
        }
    }

    #[test]
    fn minus_one_can_be_typed_where_it_means_something() {
        assert_eq!(Kind::NumberOrMinusOne.parse("x", &["-1"]), Ok(Value::Number(-1)));
        assert!(Kind::NumberOrMinusOne.parse("x", &["-2"]).is_err());
    }

    #[test]
    fn rejects_a_count_of_none() {
        assert_eq!(Kind::Count.parse("x", &["1"]), Ok(Value::Number(1)));
        assert!(Kind::Count.parse("x", &["0"]).is_err());
    }

    #[test]
    fn rejects_a_word_that_is_no_choice() {
        let kind = Kind::OneOf(&["process", "thread"]);
        assert_eq!(kind.parse("x", &["thread"]), Ok(Value::Text("thread".into())));
        assert!(kind.parse("x", &["fiber"]).is_err());
    }

    #[test]
    fn a_map_takes_a_name_and_a_value() {
        let parsed = Kind::Map.parse("x", &["LANG", "C"]);
        assert_eq!(parsed, Ok(Value::Map(vec![("LANG".into(), "C".into())])));
    }
}
