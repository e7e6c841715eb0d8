//! A level of the configuration: as it is written, then as it is used.

mod location;
mod manifest;
mod written;

pub(crate) use location::{Application, LocationConf};
pub(crate) use manifest::Manifest;
pub(crate) use written::Written;
