//! The flags of the private daemon, and the configuration of the private gate.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use protocol::settings::Value;

use super::options::Options;
use super::running::{RuntimeDir, registry};
use crate::private::process::SHUTDOWN_SECONDS;

/// Returns the path of the daemon's socket.
pub(super) fn socket(runtime: &RuntimeDir) -> std::path::PathBuf {
    runtime.join("s")
}

/// Returns the flags of the daemon.
pub(super) fn daemon_flags(options: &Options, runtime: &RuntimeDir) -> Vec<String> {
    let path = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let mut flags = vec![
        path("socket-file", &socket(runtime)),
        "--socket-mode=0600".to_owned(),
        // In the usual registry passenger-status and the other tools find it.
        path("instance-registry-dir", &registry()),
        "--log-level=notice".to_owned(),
        "--log-format=json".to_owned(),
        format!("--shutdown-timeout={SHUTDOWN_SECONDS}"),
    ];
    flags.extend(options.max_pool_size.map(|number| format!("--max-pool-size={number}")));
    flags.extend(options.loaders_dir.as_deref().map(|dir| path("loaders-dir", dir)));
    flags
}

/// Returns the configuration of the gate, in TOML.
pub(super) fn gate_config(options: &Options, address: SocketAddr) -> Result<String, String> {
    let root = options
        .root
        .to_str()
        .ok_or_else(|| format!("the path {} is not UTF-8; rename the directory", options.root.display()))?;
    let mut config = format!("[gate]\nlisten = [{}]\n\n[[apps]]\n", quoted(&address.to_string()));
    let mut line =
        |name: &str, value: &str| writeln!(config, "{name} = {value}").map_err(|err| err.to_string());
    line("root", &quoted(root))?;
    line("app_env", &quoted(&options.environment))?;
    if let Some(app_type) = &options.app_type {
        line("app_type", &quoted(app_type))?;
    }
    if let Some(command) = &options.start_command {
        line("app_start_command", &quoted(command))?;
    }
    for (name, value) in options.settings.iter() {
        line(name, &toml(value))?;
    }
    Ok(config)
}

fn toml(value: &Value) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => quoted(text),
        Value::List(texts) => {
            format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        }
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Returns a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_toml() {
        assert_eq!(quoted("a \"b\" \\ \n\u{7f}ü"), "\"a \\\"b\\\" \\\\ \\u000A\\u007Fü\"");
        assert_eq!(toml(&Value::Map(vec![("A".into(), "b c".into())])), "{ \"A\" = \"b c\" }");
        assert_eq!(toml(&Value::List(vec!["x".into(), "y".into()])), "[\"x\", \"y\"]");
        assert_eq!((toml(&Value::Flag(true)), toml(&Value::Number(3))), ("true".into(), "3".into()));
    }
}
