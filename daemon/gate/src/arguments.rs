//! The command line of `flying-passenger-gate`.

use std::path::PathBuf;

use clap::Parser;

/// HTTP server in front of the flying-passenger daemon: accepts HTTP/1.1 and HTTP/2 without TLS from any web server or
/// directly, serves public files, and passes the other requests to the daemon, as nginx does with the module.
///
/// Applications and hosts are configured in the daemon's file, in the tables [gate] and [[apps]]. For one application,
/// the flags are sufficient: --app DIR --listen ADDRESS --socket-file PATH.
#[derive(Debug, Clone, Default, PartialEq, Eq, Parser)]
#[command(name = "flying-passenger-gate", version, max_term_width = 110)]
pub struct Arguments {
    /// Configuration file of the daemon, in TOML, with the tables [gate] and [[apps]]
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,

    /// Address for clients: IP:PORT, PORT of 127.0.0.1, or unix:PATH; repeatable [default: listen in the file, or the
    /// sockets of systemd, or 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,

    /// Socket of the daemon [default: socket_file in the file]
    #[arg(long, value_name = "PATH")]
    pub socket_file: Option<PathBuf>,

    /// Directory of an application, which serves every host that the file does not name
    #[arg(long, value_name = "DIR")]
    pub app: Vec<PathBuf>,

    /// Environment of the applications of --app [default: production]
    #[arg(long, value_name = "NAME")]
    pub app_env: Option<String>,

    /// Setting of the applications of --app, by the name of its directive without passenger_; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub app_setting: Vec<String>,

    /// Log level: 0 to 7, or crit to debug3 [default: log_level in the file, or 3]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Format of the log: plain, json, or journald [default: log_format in the file, or plain]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Check flags and file, and start nothing
    #[arg(long)]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use common::config::gate::GATE_KEYS;

    use super::*;

    #[test]
    fn the_page_names_every_flag_and_key() {
        let page = include_str!("../../../docs/GATE.md");
        let command = Arguments::command();
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(page.contains(&format!("`--{flag}")), "--{flag}");
        }
        for key in GATE_KEYS.into_iter().chain(["hosts", "path", "root", "public", "pre_start"]) {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
        for key in ["app_type", "app_start_command", "app_group_name"] {
            assert!(page.contains(&format!("`{key}`")), "{key}");
        }
    }
}
