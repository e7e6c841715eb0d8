//! The names of a server: its `server_name` directives, kept for requests.

use module_core::host::{self, NameMatch};

use super::ConfContext;
use super::regex::Regex;
use crate::ffi::{array, sys, text};

/// A name of a server.
#[derive(Debug, Clone)]
pub(crate) struct ServerName {
    name: Vec<u8>,
    regex: Option<Regex>,
}

/// Returns the names of the server whose location is being merged. nginx itself keeps them only until it has read the
/// configuration.
pub(crate) fn of_block(cf: &ConfContext<'_>) -> Vec<ServerName> {
    // SAFETY: during a merge nginx keeps the server's configuration; it has merged its core's part before ours.
    of_server(unsafe { &*super::core_conf::server(cf) })
}

/// Returns the names of a server.
pub(in crate::ffi) fn of_server(server: &sys::ngx_http_core_srv_conf_t) -> Vec<ServerName> {
    // SAFETY: the array holds names, which live as long as the configuration is read.
    let names = unsafe { array::elements::<sys::ngx_http_server_name_t>(&server.server_names) };
    let name = |raw: &sys::ngx_http_server_name_t| ServerName {
        // SAFETY: see above.
        name: unsafe { text::bytes(raw.name) }.to_owned(),
        regex: Regex::of_server_name(raw),
    };
    names.iter().map(name).collect()
}

impl ServerName {
    /// Whether it states how clients name the server.
    pub(crate) fn is_specific(&self) -> bool {
        host::is_specific(&self.name)
    }

    /// Returns how exactly it matches a host, which is in lower case.
    pub(crate) fn matches(&self, host: &[u8]) -> Option<NameMatch> {
        match self.regex {
            Some(regex) => regex.matches(host).then_some(NameMatch::Regex),
            None => host::match_name(&self.name, host),
        }
    }
}
