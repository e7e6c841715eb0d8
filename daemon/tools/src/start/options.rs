//! The effective options of `passenger start`: flags take precedence over `Passengerfile.json`.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use protocol::request::AppKind;
use protocol::settings::{Settings, Value};

use super::arguments::Start;
use super::passengerfile::Passengerfile;
use crate::chosen_apps::absolute;

const DEFAULT_PORT: u16 = 3000;
const DEFAULT_ENVIRONMENT: &str = "development";
const MAX_POOL_SIZE: u64 = 10_000;

/// The options.
#[derive(Debug)]
pub(super) struct Options {
    /// The app's directory, without symbolic links.
    pub(super) root: PathBuf,
    pub(super) address: IpAddr,
    /// The port; 0 for any.
    pub(super) port: u16,
    pub(super) environment: String,
    pub(super) daemonize: bool,
    /// The type, if it is not to be detected.
    pub(super) app_type: Option<String>,
    pub(super) start_command: Option<String>,
    pub(super) max_pool_size: Option<u64>,
    /// The settings of the app, as nginx would send them.
    pub(super) settings: Settings,
    pub(super) watch: bool,
    /// Patterns of file names whose changes have no effect.
    pub(super) ignore: Vec<String>,
    pub(super) log_file: Option<PathBuf>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) loaders_dir: Option<PathBuf>,
}

impl Options {
    /// Joins the flags with the file in the app's directory.
    pub(super) fn new(start: &Start, root: PathBuf) -> Result<Self, String> {
        let file = Passengerfile::read(&root)?;
        let port = file.number("port", 0..=u64::from(u16::MAX))?;
        let port = start.port.or_else(|| port.and_then(|port| u16::try_from(port).ok()));
        let pool = file.number("max_pool_size", 1..=MAX_POOL_SIZE)?;
        let rackup = start.rackup.clone().or(file.text("rackup")?);
        let app_type = start.app_type.clone().or(file.text("app_type")?);
        let app_type = app_type.or_else(|| rackup.as_ref().map(|_| "rack".to_owned()));
        if let Some(unknown) = app_type.as_ref().filter(|name| AppKind::of_type(name).is_none()) {
            let known: Vec<_> = AppKind::types().collect();
            return Err(format!(
                "invalid value \"{unknown}\" of \"app_type\": must be one of \"{}\"",
                known.join("\", \"")
            ));
        }
        let path = |flag: &Option<PathBuf>, key: Option<String>| match (flag, key) {
            (Some(path), _) => absolute(path).map(Some),
            (None, Some(path)) => Ok(Some(root.join(path))),
            (None, None) => Ok(None),
        };
        let environment = start.environment.clone().or(file.text("environment")?);
        Ok(Self {
            address: address(start.address.clone().or(file.text("address")?).as_deref())?,
            port: port.unwrap_or(DEFAULT_PORT),
            environment: environment.unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned()),
            daemonize: start.daemonize || file.flag("daemonize")?,
            start_command: start.app_start_command.clone().or(file.text("app_start_command")?),
            max_pool_size: start.max_pool_size.map(u64::from).or(pool),
            settings: settings(start, &file, rackup)?,
            app_type,
            watch: !start.no_watch,
            ignore: [start.ignore.clone(), file.list("ignore")?].concat(),
            log_file: path(&start.log_file, file.text("log_file")?)?,
            pid_file: path(&start.pid_file, file.text("pid_file")?)?,
            loaders_dir: start.loaders_dir.as_deref().map(absolute).transpose()?,
            root,
        })
    }

    /// Returns a text setting.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.settings.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// Parses the address; names of hosts other than localhost are refused, as they may have several.
fn address(text: Option<&str>) -> Result<IpAddr, String> {
    match text {
        None | Some("localhost") => Ok(Ipv4Addr::LOCALHOST.into()),
        Some(text) => text.trim_matches(['[', ']']).parse().map_err(|_| {
            format!("invalid value \"{text}\" in \"--address\": must be an IP address, such as 127.0.0.1")
        }),
    }
}

/// Returns the settings of the app: those of the file, those of the flags, and what development needs.
fn settings(start: &Start, file: &Passengerfile, rackup: Option<String>) -> Result<Settings, String> {
    let mut settings = file.settings.clone();
    if settings.get("load_shell_envvars").is_none() || start.load_shell_envvars {
        // This command runs in the user's shell, whose variables the app has anyway.
        settings.set("load_shell_envvars", Value::Flag(start.load_shell_envvars));
    }
    if settings.get("spawn_method").is_none() {
        // One process, which every change replaces: a preloader would load the app in vain.
        settings.set("spawn_method", Value::Text("direct".to_owned()));
    }
    let startup_file = start.startup_file.clone().or(rackup);
    for (name, value) in [
        ("startup_file", startup_file.as_ref()),
        ("ruby", start.ruby.as_ref()),
        ("python", start.python.as_ref()),
        ("nodejs", start.nodejs.as_ref()),
    ] {
        if let Some(value) = value {
            settings.set(name, Value::Text(interpreter(name, value)?));
        }
    }
    match start.min_instances {
        Some(number) => settings.set("min_instances", Value::Number(i64::from(number))),
        // Set, so that the app starts before its first request, and its errors are seen at once.
        None if settings.get("min_instances").is_none() => settings.set("min_instances", Value::Number(1)),
        None => {}
    }
    let mut variables = file.map("envvars")?;
    for given in &start.envvar {
        let (name, value) = given
            .split_once('=')
            .ok_or_else(|| format!("invalid value \"{given}\" in \"--envvar\": must be NAME=VALUE"))?;
        variables.retain(|(known, _)| known != name);
        variables.push((name.to_owned(), value.to_owned()));
    }
    if !variables.is_empty() {
        settings.set("env_var", Value::Map(variables));
    }
    Ok(settings)
}

/// Returns a relative path of an interpreter as an absolute one: it is relative to the current directory, and the app
/// starts in another. A name without a slash is searched in `PATH`.
fn interpreter(flag: &str, value: &str) -> Result<String, String> {
    if flag == "startup_file" || !value.contains('/') {
        return Ok(value.to_owned());
    }
    let path = absolute(Path::new(value))?;
    path.into_os_string().into_string().map_err(|_| format!("invalid value in \"--{flag}\": must be UTF-8"))
}
