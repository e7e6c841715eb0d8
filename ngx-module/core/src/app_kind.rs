//! The values of `passenger_app_type`.

use protocol::request::AppKind;

/// The type configured with `passenger_app_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppType {
    /// A known type.
    Known(AppKind),
    /// Not a known type. nginx then serves the location, as with Passenger.
    Unknown,
}

impl AppType {
    /// Every name of a known type.
    pub const WORDS: [&str; 7] = ["ruby", "rack", "python", "wsgi", "nodejs", "node", "meteor"];

    /// Parses a value. `generic` is not one: such an app is configured by its start command.
    pub fn parse(word: &str) -> Self {
        match word {
            "ruby" | "rack" => Self::Known(AppKind::Ruby),
            "python" | "wsgi" => Self::Known(AppKind::Python),
            "nodejs" | "node" => Self::Known(AppKind::Node),
            "meteor" => Self::Known(AppKind::Meteor),
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_mean_the_same() {
        for (one, other) in [("ruby", "rack"), ("python", "wsgi"), ("nodejs", "node")] {
            assert_eq!(AppType::parse(one), AppType::parse(other));
        }
    }

    #[test]
    fn every_listed_word_is_known() {
        for word in AppType::WORDS {
            assert_ne!(AppType::parse(word), AppType::Unknown, "{word}");
        }
    }

    #[test]
    fn generic_is_no_type() {
        assert_eq!(AppType::parse("generic"), AppType::Unknown);
        assert_eq!(AppType::parse("Ruby"), AppType::Unknown);
    }
}
