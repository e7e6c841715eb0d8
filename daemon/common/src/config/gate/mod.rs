//! The tables `[gate]` and `[[apps]]` of the configuration file, for `flying-passenger-gate`. The daemon checks them and
//! does not use them.

mod apps;
mod listen;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use protocol::settings::Settings;
use toml::de::DeValue;

use super::error::{ConfigError, ConfigErrors};
use super::file;
use super::similar::suggestion;
use crate::log::{LogFormat, LogLevel};
pub(super) use apps::{APPS, read_app};
pub use apps::{app_keys, parse_setting};
pub use listen::{Listen, TrustedNetwork};

/// The name of the table.
pub(super) const GATE: &str = "gate";

/// The keys of `[gate]`.
pub const GATE_KEYS: [&str; 5] =
    ["listen", "trusted_proxies", "forwarded_host", "proxy_protocol", "max_connections"];

/// The table `[gate]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// Where the gate accepts connections.
    pub listen: Vec<Listen>,
    /// The proxies whose `X-Forwarded-*` and PROXY headers are believed.
    pub trusted_proxies: Vec<TrustedNetwork>,
    /// Whether their `X-Forwarded-Host` and `X-Forwarded-Port` replace `Host`.
    pub forwarded_host: bool,
    /// Whether each connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Maximum number of connections of clients; `None` for as many as the descriptors allow.
    pub max_connections: Option<u32>,
}

/// An entry of `[[apps]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateApp {
    /// The names of hosts, as nginx's `server_name`; empty for every host that no other entry names.
    pub hosts: Vec<String>,
    /// Where the application is mounted, without a final slash; empty at the root.
    pub base_uri: String,
    /// The application's directory.
    pub root: PathBuf,
    /// The directory of its public files.
    pub public: PathBuf,
    /// The name of its process group.
    pub group: Option<String>,
    /// The value of `passenger_app_type`.
    pub app_type: Option<String>,
    /// The command that starts it.
    pub start_command: Option<String>,
    /// Whether it is started before its first request.
    pub pre_start: bool,
    /// The settings, by the directives' names without `passenger_`.
    pub settings: Settings,
}

impl GateApp {
    /// Describes a place that both serve, if there is one.
    pub(super) fn shared_host(&self, other: &Self) -> Option<String> {
        if self.base_uri != other.base_uri {
            return None;
        }
        if self.hosts.is_empty() && other.hosts.is_empty() {
            return Some("every other host".to_owned());
        }
        self.hosts.iter().find(|host| other.hosts.contains(host)).map(|host| format!("\"{host}\""))
    }
}

/// The values of the configuration file that concern the gate.
#[derive(Debug, Clone, Default)]
pub struct GateFile {
    /// The table `[gate]`.
    pub gate: Gate,
    /// The entries of `[[apps]]`.
    pub apps: Vec<GateApp>,
    /// The daemon's socket for nginx.
    pub socket_file: Option<PathBuf>,
    /// The log level.
    pub log_level: Option<LogLevel>,
    /// The log format.
    pub log_format: Option<LogFormat>,
}

/// Reads the file for a gate that runs as `euid`.
///
/// # Errors
///
/// All errors of the file that a daemon would report without looking at this machine.
pub fn read_gate_file(path: &Path, euid: Uid) -> Result<GateFile, Vec<ConfigError>> {
    let mut errors = ConfigErrors::default();
    let file = file::read(path, euid, &mut errors);
    let text = |flag: &str| file.value(flag).map(|value| value.text.clone());
    let read = GateFile {
        socket_file: text("socket-file").map(PathBuf::from),
        log_level: text("log-level").and_then(|level| level.parse().ok()),
        log_format: text("log-format").and_then(|format| LogFormat::of_name(&format)),
        gate: file.gate,
        apps: file.apps,
    };
    errors.unless_any(read)
}

fn switch(name: &'static str, value: &DeValue<'_>) -> Result<bool, ConfigError> {
    match value {
        DeValue::Boolean(on) => Ok(*on),
        _ => Err(ConfigError::new(name, "must be true or false, without quotes")),
    }
}

/// Reads the table `[gate]`. `line` names the line of a position in the file.
pub(super) fn read_gate(
    value: &DeValue<'_>,
    place: &str,
    line: &impl Fn(usize) -> String,
    errors: &mut ConfigErrors,
) -> Gate {
    let mut gate = Gate::default();
    let DeValue::Table(table) = value else {
        errors.push(ConfigError::new(GATE, "must be a table: write [gate] on a separate line").at(place));
        return gate;
    };
    for (key, value) in table {
        let (name, place) = (key.get_ref().as_ref(), line(key.span().start));
        let value = value.get_ref();
        let failed = match name {
            "listen" => read_list(name, value, Listen::parse).map(|all| gate.listen = all),
            "trusted_proxies" => {
                read_list(name, value, TrustedNetwork::parse).map(|all| gate.trusted_proxies = all)
            }
            "forwarded_host" => switch("forwarded_host", value).map(|on| gate.forwarded_host = on),
            "proxy_protocol" => switch("proxy_protocol", value).map(|on| gate.proxy_protocol = on),
            "max_connections" => max_connections(value).map(|most| gate.max_connections = Some(most)),
            _ => {
                let hint = suggestion(name, GATE_KEYS.into_iter(), "the options are");
                let message = format!("unknown option \"{name}\" in [gate]{hint}");
                Err(ConfigError::new("", message))
            }
        };
        if let Err(error) = failed {
            errors.push(error.at(place));
        }
    }
    if gate.proxy_protocol && gate.trusted_proxies.is_empty() {
        let why = "requires trusted_proxies: the addresses of the proxies that send the PROXY header";
        errors.push(ConfigError::new("proxy_protocol", why).at(place));
    }
    gate
}

fn max_connections(value: &DeValue<'_>) -> Result<u32, ConfigError> {
    let number = value.as_integer().filter(|number| number.radix() == 10);
    let number = number.and_then(|number| number.as_str().parse().ok()).filter(|number| *number >= 1);
    number.ok_or_else(|| ConfigError::new("max_connections", "must be a number >= 1, without quotes"))
}

/// Reads a list of texts.
fn read_list<T>(
    name: &str,
    value: &DeValue<'_>,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, ConfigError> {
    let must = || ConfigError::new(name.to_owned(), "must be a list of texts in quotes: [\"one\", \"two\"]");
    let texts = value.as_array().ok_or_else(must)?;
    let texts = texts.iter().map(|text| text.get_ref().as_str().ok_or_else(must));
    texts
        .map(|text| text.and_then(|t| parse(t).map_err(|must| ConfigError::value(name.to_owned(), t, must))))
        .collect()
}

/// Whether an address with a port is a TCP address that can be bound.
fn tcp_address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

#[cfg(test)]
mod tests;
