//! The gate's options: flags and file, checked together.

use std::path::{Path, PathBuf};

use common::config::ConfigError;
use common::config::gate::{GateApp, GateFile, Listen, TrustedNetwork, parse_setting, read_gate_file};
use common::log::{LogFormat, LogLevel};
use nix::unistd::geteuid;
use protocol::settings::Value;

use crate::arguments::Arguments;

/// The checked options.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where clients connect; empty for the sockets of systemd, or the default.
    pub(crate) listen: Vec<Listen>,
    pub(crate) trusted_proxies: Vec<TrustedNetwork>,
    pub(crate) forwarded_host: bool,
    pub(crate) proxy_protocol: bool,
    pub(crate) max_connections: Option<u32>,
    pub(crate) apps: Vec<GateApp>,
    /// The daemon's socket.
    pub(crate) socket: PathBuf,
    pub(crate) log_level: LogLevel,
    pub(crate) log_format: LogFormat,
    /// What identifies this gate for the daemon, also after a restart.
    pub(crate) identity: String,
}

impl Options {
    /// Checks the flags and the file that they name.
    ///
    /// # Errors
    ///
    /// All errors.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, Vec<String>> {
        let read = arguments.config.as_deref().map(|path| read_gate_file(path, geteuid()));
        let file = read.transpose().map_err(|errors| texts(&errors))?.unwrap_or_default();
        let mut errors = Vec::new();
        let mut apps = file.apps.clone();
        for dir in &arguments.app {
            match app_of_flag(dir, arguments) {
                Ok(app) if apps.iter().any(|other| other.hosts.is_empty() && other.base_uri.is_empty()) => {
                    errors.push(format!(
                        "--app: {} and another application serve every host; use [[apps]] with \"hosts\" in the file",
                        app.root.display()
                    ));
                }
                Ok(app) => apps.push(app),
                Err(why) => errors.push(why),
            }
        }
        if apps.is_empty() && errors.is_empty() {
            errors.push(
                "no application: add a table [[apps]] to the file of --config, or use --app DIR".into(),
            );
        }
        let listen = listen(arguments, &file, &mut errors);
        let socket = arguments.socket_file.clone().or(file.socket_file);
        if socket.is_none() {
            errors.push("--socket-file: is required, or socket_file in the file of --config".into());
        }
        let log_level = level(arguments, file.log_level, &mut errors);
        let log_format = format(arguments, file.log_format, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            identity: identity(arguments, &listen),
            listen,
            trusted_proxies: file.gate.trusted_proxies,
            forwarded_host: file.gate.forwarded_host,
            proxy_protocol: file.gate.proxy_protocol,
            max_connections: file.gate.max_connections,
            apps,
            socket: absolute(&socket.unwrap_or_default()),
            log_level,
            log_format,
        })
    }
}

fn texts(errors: &[ConfigError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn app_of_flag(dir: &Path, arguments: &Arguments) -> Result<GateApp, String> {
    let root = absolute(dir);
    if !root.is_dir() {
        return Err(format!("invalid value \"{}\" in \"--app\": must be a directory", dir.display()));
    }
    let public = root.join("public");
    let mut app = GateApp { root, public, ..GateApp::default() };
    let env = arguments.app_env.iter().map(|env| ("app_env", env.as_str()));
    for word in &arguments.app_setting {
        let (name, text) = word
            .split_once('=')
            .ok_or_else(|| format!("invalid value \"{word}\" in \"--app-setting\": must be NAME=VALUE"))?;
        match name {
            "app_type" => app.app_type = Some(text.to_owned()),
            "app_start_command" => app.start_command = Some(text.to_owned()),
            "app_group_name" => app.group = Some(text.to_owned()),
            "env_var" => add_variable(&mut app, text)?,
            _ => set(&mut app, name, text)?,
        }
    }
    for (name, text) in env {
        set(&mut app, name, text)?;
    }
    app.pre_start = matches!(app.settings.get("min_instances"), Some(Value::Number(1..)));
    Ok(app)
}

fn set(app: &mut GateApp, name: &str, text: &str) -> Result<(), String> {
    let value = parse_setting(name, text)
        .map_err(|must| format!("invalid value \"{text}\" in \"--app-setting {name}\": {must}"))?;
    app.settings.set(name, value);
    Ok(())
}

/// Adds a variable of the environment, as `env_var=NAME=VALUE`.
fn add_variable(app: &mut GateApp, text: &str) -> Result<(), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        format!("invalid value \"{text}\" in \"--app-setting env_var\": must be NAME=VALUE")
    })?;
    let mut all = match app.settings.get("env_var") {
        Some(Value::Map(all)) => all.clone(),
        _ => Vec::new(),
    };
    all.push((name.to_owned(), value.to_owned()));
    app.settings.set("env_var", Value::Map(all));
    Ok(())
}

fn listen(arguments: &Arguments, file: &GateFile, errors: &mut Vec<String>) -> Vec<Listen> {
    if arguments.listen.is_empty() {
        return file.gate.listen.clone();
    }
    let mut all = Vec::new();
    for text in &arguments.listen {
        match Listen::parse(text) {
            Ok(listen) => all.push(listen),
            Err(must) => errors.push(format!("invalid value \"{text}\" in \"--listen\": {must}")),
        }
    }
    all
}

fn level(arguments: &Arguments, of_file: Option<LogLevel>, errors: &mut Vec<String>) -> LogLevel {
    let Some(text) = &arguments.log_level else { return of_file.unwrap_or_default() };
    text.parse().unwrap_or_else(|_| {
        errors.push(format!(
            "invalid value \"{text}\" in \"--log-level\": must be 0 to 7 or the name of a level"
        ));
        LogLevel::default()
    })
}

fn format(arguments: &Arguments, of_file: Option<LogFormat>, errors: &mut Vec<String>) -> LogFormat {
    let Some(text) = &arguments.log_format else { return of_file.unwrap_or_default() };
    LogFormat::of_name(text).unwrap_or_else(|| {
        let names = LogFormat::NAMES.join("\", \"");
        errors.push(format!("invalid value \"{text}\" in \"--log-format\": must be one of \"{names}\""));
        LogFormat::default()
    })
}

fn identity(arguments: &Arguments, listen: &[Listen]) -> String {
    match (&arguments.config, listen.first()) {
        (Some(path), _) => format!("{} (gate)", absolute(path).display()),
        (None, Some(listen)) => format!("{listen} (gate)"),
        (None, None) => "gate".to_owned(),
    }
}
