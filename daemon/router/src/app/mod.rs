//! An application as the location that a request came by configures it: route, settings, sticky sessions.

pub(crate) mod route;
pub(crate) mod settings;
pub(crate) mod sticky;
