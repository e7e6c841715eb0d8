//! An application as configured by the location that a request came through: route, settings, sticky sessions.

pub(crate) mod route;
pub(crate) mod settings;
pub(crate) mod sticky;
