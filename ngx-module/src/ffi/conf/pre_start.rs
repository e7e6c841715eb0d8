//! `passenger_pre_start`: finds the applications that serve its URLs, by nginx's rules for servers and locations.

use std::rc::Rc;

use module_core::pre_start::{self, Candidate, Listener, LocationKind, Url};
use module_core::roster::ConfiguredApps;

use super::regex::Regex;
use super::{ConfContext, core_conf, server_names};
use crate::ffi::log::Level;
use crate::ffi::{array, sys, text};

/// The URLs of a configuration, and its locations.
#[derive(Debug, Default)]
pub(crate) struct PreStarts {
    urls: Vec<Url>,
    /// Empty without URLs.
    locations: Vec<Location>,
}

/// A location and the block that contains it: the addresses of their configurations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks {
    pub(crate) location: usize,
    pub(crate) outer: usize,
}

/// A location; with its applications if the module serves it.
#[derive(Debug)]
struct Location {
    blocks: Blocks,
    server: *const sys::ngx_http_core_srv_conf_t,
    conf: *const sys::ngx_http_core_loc_conf_t,
    apps: Option<Rc<ConfiguredApps>>,
}

impl PreStarts {
    /// Adds a URL.
    pub(crate) fn add_url(&mut self, url: Url) {
        self.urls.push(url);
    }

    /// Adds the location that is being merged, with its applications if the module serves it.
    pub(crate) fn add_location(
        &mut self,
        cf: &ConfContext<'_>,
        blocks: Blocks,
        apps: Option<Rc<ConfiguredApps>>,
    ) {
        if let Some(conf) = core_conf::raw(cf)
            && !self.urls.is_empty()
        {
            self.locations.push(Location { blocks, server: core_conf::server(cf), conf, apps });
        }
    }

    /// Marks the applications of all URLs to be started before their first request. A warning names each URL that
    /// leads to none. Called when the configuration is read and the layout of nginx's structures has been checked.
    pub(crate) fn mark_apps(&self, cf: &mut ConfContext<'_>) {
        for url in &self.urls {
            if let Err(why) = self.mark(cf, url) {
                cf.report(Level::Warn, format_args!("passenger_pre_start {url} has no effect: {why}"));
            }
        }
    }

    fn mark(&self, cf: &ConfContext<'_>, url: &Url) -> Result<(), String> {
        let servers = servers_of(cf, url);
        if servers.is_empty() {
            return Err(match &url.listener {
                Listener::Port(port) => format!(
                    "no server listens on port {port}; write the port of a server with passenger_enabled on"
                ),
                Listener::Socket(socket) => format!(
                    "no server listens on unix:{socket}; write the address of a server with passenger_enabled on"
                ),
            });
        }
        let apps = servers.iter().filter_map(|server| self.apps_of(*server, &url.uri));
        // Every server is tried, as each may have another application.
        let results: Vec<_> = apps.map(|apps| apps.pre_start(&url.uri)).collect();
        if results.iter().any(Result::is_ok) {
            return Ok(());
        }
        results.into_iter().next().unwrap_or_else(|| {
            Err("passenger_enabled is not on in the location that serves it; write the name and the path of an \
                 application"
                .to_owned())
        })
    }

    /// Returns the applications that serve a path of a server.
    fn apps_of(&self, server: *const sys::ngx_http_core_srv_conf_t, path: &[u8]) -> Option<&ConfiguredApps> {
        let known = self.locations.iter().filter(|location| location.server == server);
        let (named, candidates): (Vec<_>, Vec<_>) =
            known.filter_map(|location| Some((location, candidate(location, path)?))).unzip();
        named.get(pre_start::location_of(path, &candidates)?)?.apps.as_deref()
    }
}

/// Returns a location's name and kind; `None` for one that no URL selects: a named location, or a block such as `if`.
fn candidate<'l>(location: &'l Location, path: &[u8]) -> Option<Candidate<'l>> {
    // SAFETY: nginx keeps a location as long as the configuration, and its layout has been checked.
    let conf = unsafe { &*location.conf };
    if conf.named() != 0 || conf.noname() != 0 {
        return None;
    }
    // SAFETY: text of the configuration.
    let name = unsafe { text::bytes(conf.name) };
    let kind = match Regex::of_location(conf) {
        Some(regex) => LocationKind::Regex(regex.matches(path)),
        None if conf.exact_match() != 0 => LocationKind::Exact,
        None if conf.noregex() != 0 => LocationKind::PrefixOnly,
        None => LocationKind::Prefix,
    };
    let Blocks { location: id, outer } = location.blocks;
    // The module configures its locations to redirect.
    let redirects = location.apps.is_some() && !matches!(kind, LocationKind::Regex(_));
    Some(Candidate { id, outer, name, kind, redirects })
}

/// Returns the servers that serve a URL: of each address with its port, the one whose name matches best, or the
/// default server.
fn servers_of(cf: &ConfContext<'_>, url: &Url) -> Vec<*const sys::ngx_http_core_srv_conf_t> {
    // SAFETY: in nginx's postconfiguration its core has the addresses of all servers; they no longer change.
    let ports = unsafe {
        let ports = core_conf::main(cf).and_then(|core| core.as_ref().ports.as_ref());
        ports.map_or(&[][..], |ports| array::elements::<sys::ngx_http_conf_port_t>(ports))
    };
    let mut servers = Vec::new();
    for port in ports {
        // SAFETY: see above.
        for address in unsafe { array::elements::<sys::ngx_http_conf_addr_t>(&port.addrs) } {
            // SAFETY: text of the configuration.
            let name = unsafe { text::bytes(address.opt.addr_text) };
            let is_meant = match &url.listener {
                Listener::Port(number) => !name.starts_with(b"unix:") && port.port == *number,
                Listener::Socket(path) => name.strip_prefix(b"unix:") == Some(path.as_bytes()),
            };
            if is_meant {
                servers.push(server_of(address, &url.host));
            }
        }
    }
    servers
}

fn server_of(address: &sys::ngx_http_conf_addr_t, host: &str) -> *const sys::ngx_http_core_srv_conf_t {
    // SAFETY: the array holds pointers to servers, which live as long as the configuration.
    let servers = unsafe { array::elements::<*const sys::ngx_http_core_srv_conf_t>(&address.servers) };
    let rank = |server: &*const sys::ngx_http_core_srv_conf_t| {
        // SAFETY: see above.
        let names = server_names::of_server(unsafe { &**server });
        names.iter().filter_map(|name| name.matches(host.as_bytes())).max()
    };
    // Of equal ones nginx takes the first, and `max_by_key` the last.
    let best = servers
        .iter()
        .rev()
        .filter_map(|server| Some((rank(server)?, *server)))
        .max_by_key(|(rank, _)| *rank);
    best.map_or(address.default_server.cast_const(), |(_, server)| server)
}
