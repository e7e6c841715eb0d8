//! A level of the configuration: as written, and as used by requests.

mod application;
mod location;
mod manifest;
mod written;

pub(crate) use application::{Application, greeting};
pub(crate) use location::LocationConf;
pub(crate) use manifest::Manifest;
pub(crate) use written::{Shown, StatusAt, Written};
