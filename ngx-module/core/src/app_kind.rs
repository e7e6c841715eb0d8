//! The value of `passenger_app_type`: a word comes in, a type goes out when the word is one.

use protocol::request::AppKind;

/// What `passenger_app_type` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppType {
    /// A known type.
    Known(AppKind),
    /// A word that is none. The location is then nginx's own, as the predecessor had it.
    Unknown,
}

impl AppType {
    /// Every word for a known type.
    pub const WORDS: [&str; 7] = ["ruby", "rack", "python", "wsgi", "nodejs", "node", "meteor"];

    /// Reads the word. `generic` is none: such an app is named by its start command.
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
