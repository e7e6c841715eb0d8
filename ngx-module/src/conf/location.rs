//! A location's configuration, as requests use it.

use module_core::manifest::Statement;

use super::{Application, Written};
use crate::ffi::conf::server_names::ServerName;
use crate::ffi::conf::upstream_conf::UpstreamConf;

/// The module's configuration of a location, server or `http` block.
#[derive(Debug)]
pub(crate) struct LocationConf {
    pub(crate) upstream: UpstreamConf,
    pub(crate) written: Written,
    /// The directives of this level, until it is merged.
    pub(crate) statements: Vec<Statement>,
    pub(crate) application: Option<Application>,
    /// The first bytes of a connection for the status page; empty where there is none.
    pub(crate) status_greeting: Vec<u8>,
    /// Where it shows the status page: the names of its server.
    pub(crate) server_names: Vec<ServerName>,
}

impl LocationConf {
    /// Returns the values that requests need; `None` where the module is not enabled.
    pub(crate) fn application(&self) -> Option<&Application> {
        self.application.as_ref()
    }

    /// Returns the first bytes of a connection for the status page.
    pub(crate) fn status_greeting(&self) -> &[u8] {
        &self.status_greeting
    }
}

impl AsRef<UpstreamConf> for LocationConf {
    fn as_ref(&self) -> &UpstreamConf {
        &self.upstream
    }
}
