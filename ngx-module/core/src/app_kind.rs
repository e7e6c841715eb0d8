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
    /// Parses a value.
    pub fn parse(text: &str) -> Self {
        AppKind::of_type(text).map_or(Self::Unknown, Self::Known)
    }
}
