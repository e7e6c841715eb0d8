//! The log level: parsed from a number or a name, converted to a filter of `tracing`.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// A log level of Passenger, 0 to 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogLevel(u8);

/// Names of the levels; the index is the number.
const NAMES: [&str; 8] = ["crit", "error", "warn", "notice", "info", "debug", "debug2", "debug3"];

impl Default for LogLevel {
    fn default() -> Self {
        Self(3)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The text is not a log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 0 to 7, or one of {}", NAMES.join(", "))]
pub struct UnknownLevel;

impl FromStr for LogLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let by_name = NAMES.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = by_name.and_then(|at| u8::try_from(at).ok()).or_else(|| text.parse().ok());
        number.filter(|number| *number <= 7).map(Self).ok_or(UnknownLevel)
    }
}

impl LogLevel {
    /// Whether only critical messages are logged, which no filter of `tracing` can express.
    pub(super) fn is_critical_only(self) -> bool {
        self.0 == 0
    }

    pub(super) fn filter(self) -> LevelFilter {
        match self.0 {
            0 | 1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_numbers_or_names() {
        for (text, level) in [("0", 0), ("7", 7), ("warn", 2), ("Notice", 3), ("debug", 5)] {
            assert_eq!(text.parse(), Ok(LogLevel(level)), "{text}");
        }
        for text in ["8", "-1", "", "loud"] {
            assert_eq!(text.parse::<LogLevel>(), Err(UnknownLevel), "{text}");
        }
    }
}
