//! The app to test: type, settings and user, each with the reason, from the directory, the flags and running daemons.
//! Nothing is started here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use detection::Detected;
use module_core::app_kind::AppType;
use module_core::app_location::{AppConf, Lookup, find_app};
use protocol::request::AppKind;
use protocol::settings::{Settings, Value};

use super::arguments::Doctor;
use super::no_app::NoApp;
use super::running_daemons::{KnownApp, RunningDaemon, default_users, inheritable};
use super::settings::{settings, text};
use crate::chosen_apps::absolute;
use crate::instances;
use common::config::{AllowedIdentities, ROUTER_USER, UserOptions};
use common::link::AppUser;
use common::sys::accounts;
use supervisor::{Policy, Why, would_run_as};

/// Default of the app's start timeout, in seconds.
const START_TIMEOUT: u64 = 90;

/// An app that can be started.
#[derive(Debug)]
pub(super) struct TestedApp {
    pub(super) root: PathBuf,
    pub(super) group: String,
    pub(super) kind: AppKind,
    /// Why it is of this type.
    pub(super) kind_reason: String,
    /// Its startup file or command.
    pub(super) found: Detected,
    pub(super) settings: Settings,
    /// The PID of the daemon from which the settings are.
    pub(super) settings_of: Option<u32>,
    pub(super) users: UserOptions,
    /// The user to run as, with the reason.
    pub(super) user: Result<(AppUser, String), String>,
    /// Why a daemon would refuse to run it as this user.
    pub(super) refusal: Option<String>,
    /// Environment variables of the private daemon, and the PID of the daemon from which they are.
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) variables_of: Option<u32>,
}

impl TestedApp {
    /// Examines the app that the arguments name.
    pub(super) fn examine(doctor: &Doctor) -> Result<Self, NoApp> {
        let root = absolute(&doctor.app).unwrap_or_else(|_| doctor.app.clone());
        if !root.is_dir() {
            let remedy =
                "Specify the directory of the app, which contains its startup file, such as config.ru.";
            let cause = format!("{} is not a directory, or you may not enter it", root.display());
            return Err(NoApp::new(&root, cause, remedy));
        }
        let daemon = RunningDaemon::find(&root, doctor.environment.as_deref());
        let known = daemon.as_ref().and_then(|daemon| daemon.app.clone());
        let defaults = daemon.as_ref().map(|daemon| &daemon.defaults);
        let configured = [defaults, known.as_ref().map(|known| &known.settings)];
        let settings = settings(doctor, configured.into_iter().flatten())
            .map_err(|err| NoApp::new(&root, err, "Specify it as --env NAME=VALUE."))?;
        let (found, kind_reason) = find(doctor, &root, known.as_ref(), &settings)?;
        let users = daemon.as_ref().map(|daemon| daemon.users.clone()).unwrap_or_else(default_users);
        let owned = owned_path(&root, &found, &settings);
        let user = user(&owned, &settings, &users);
        let refusal = user.as_ref().ok().and_then(|_| refusal(&owned, &settings, &users));
        let variables_of = daemon.as_ref().filter(|daemon| daemon.variables.is_some()).map(|d| d.pid);
        let settings_of = daemon.as_ref().filter(|_| known.is_some()).map(|daemon| daemon.pid);
        let variables = daemon.and_then(|daemon| daemon.variables);
        let group = known.map(|known| known.group);
        Ok(Self {
            group: group.unwrap_or_else(|| {
                format!("{} ({})", root.display(), text(&settings, "app_env", "production"))
            }),
            root,
            kind: found.kind,
            kind_reason,
            found,
            settings,
            settings_of,
            users,
            user,
            refusal,
            variables: variables.unwrap_or_else(|| inheritable(std::env::vars_os())),
            variables_of,
        })
    }

    /// Returns the environment of the app, as in `passenger_app_env`.
    pub(super) fn app_env(&self) -> &str {
        text(&self.settings, "app_env", "production")
    }

    /// Returns the startup file as written in messages; for a generic app the start command.
    pub(super) fn entry_point(&self) -> String {
        entry(&self.found, &self.settings).to_owned()
    }

    /// Returns the maximum number of seconds until it is ready.
    pub(super) fn start_timeout(&self) -> u64 {
        match self.settings.get("start_timeout") {
            Some(Value::Number(seconds)) => u64::try_from(*seconds).unwrap_or(START_TIMEOUT),
            _ => START_TIMEOUT,
        }
    }
}

/// Determines type and startup file or command: flags take precedence, then the configuration, then the files in the
/// directory.
fn find(
    doctor: &Doctor,
    root: &Path,
    known: Option<&KnownApp>,
    settings: &Settings,
) -> Result<(Detected, String), NoApp> {
    let by_flag = doctor.app_type.is_some() || doctor.start_command.is_some();
    let search = |kind, start_command| {
        let startup_file = Some(text(settings, "startup_file", "")).filter(|file| !file.is_empty());
        let startup_file = startup_file.map(str::to_owned);
        let conf = AppConf { kind, start_command, startup_file, ..AppConf::default() };
        find_app(&conf, root.as_os_str().as_encoded_bytes())
    };
    if let Some(known) = known.filter(|_| !by_flag) {
        return Ok((configured(known, search), "as configured".to_owned()));
    }
    match search(doctor.app_type.as_deref().map(AppType::parse), doctor.start_command.clone()) {
        Ok(Some(found)) => {
            let reason = match (&doctor.start_command, &doctor.app_type) {
                (Some(_), _) => "because of --start-command".to_owned(),
                (None, Some(_)) => "because of --type".to_owned(),
                (None, None) => reason(&found, text(settings, "startup_file", "")),
            };
            Ok((found, reason))
        }
        Ok(None) => Err(NoApp::in_directory(root)),
        Err(why) => {
            let remedy = "Run this as a user who may read the app, or specify its type with --type.";
            Err(NoApp::new(root, why.to_string(), remedy))
        }
    }
}

/// Returns an app of a running daemon. What nginx has found in its directory is found again.
fn configured(known: &KnownApp, search: impl Fn(Option<AppType>, Option<String>) -> Lookup) -> Detected {
    if known.kind != AppKind::Generic {
        let found = search(Some(AppType::Known(known.kind)), None);
        return found.ok().flatten().unwrap_or_else(|| Detected::configured(known.kind));
    }
    let found = search(None, None).ok().flatten();
    let is_it = |found: &Detected| found.kind == known.kind && found.entry().value == known.start_command;
    found.filter(is_it).unwrap_or_else(|| Detected::of_command(&known.start_command))
}

/// Returns why an app is of the type that was found.
fn reason(found: &Detected, startup_file: &str) -> String {
    let entry = found.entry();
    match (found.kind, entry.reason) {
        (AppKind::Generic, Some(reason)) => format!("because of {reason}"),
        (AppKind::Generic, None) => "because Passengerfile.json exists".to_owned(),
        _ if AppKind::of_file(startup_file) == Some(found.kind) => {
            "because of the startup file's name".to_owned()
        }
        _ if found.start_command.is_empty() => format!("because {} exists", entry.value),
        (_, reason) => format!("because of {} ({})", entry.value, reason.unwrap_or_default()),
    }
}

/// Returns the startup file, or the command of a generic app.
fn entry<'a>(found: &'a Detected, settings: &'a Settings) -> &'a str {
    let value = found.entry().value;
    if found.kind == AppKind::Generic { value } else { text(settings, "startup_file", value) }
}

/// Returns the path whose owner determines the app's user: the startup file, or the root of a generic app. For a startup
/// file that was found below a directory of the app, that directory.
fn owned_path(root: &Path, found: &Detected, settings: &Settings) -> PathBuf {
    let file = entry(found, settings);
    let is_found = text(settings, "startup_file", "").is_empty() && !found.start_command.is_empty();
    match found.kind {
        AppKind::Generic => root.to_path_buf(),
        _ if is_found => root.join(file.split('/').next().unwrap_or(file)),
        _ => root.join(file),
    }
}

/// Returns the user and group of the settings.
fn configured_user(settings: &Settings) -> [Option<&str>; 2] {
    ["user", "group"].map(|name| Some(text(settings, name, "")).filter(|text| !text.is_empty()))
}

/// Returns why the running daemons would refuse to run it as its user, as far as can be determined from outside.
fn refusal(owned: &Path, settings: &Settings, users: &UserOptions) -> Option<String> {
    let router = accounts::user_named(ROUTER_USER).ok().flatten();
    let policy = Policy {
        sockets: instances().into_iter().map(|found| found.properties.socket_file).collect(),
        router: router.map(|user| (user.uid.as_raw(), user.gid.as_raw())),
        ..Policy::default()
    };
    let [user, group] = configured_user(settings);
    let err = would_run_as(users, user, group, owned, &policy).err()?;
    Some(format!("unless its flags allow it, the daemon refuses to start the app: {err}"))
}

fn user(owned: &Path, settings: &Settings, users: &UserOptions) -> Result<(AppUser, String), String> {
    let [wanted, group] = configured_user(settings);
    let any = vec!["*".to_owned()];
    let allowed = AllowedIdentities { users: any.clone(), groups: any };
    let (user, why) = would_run_as(users, wanted, group, owned, &Policy { allowed, ..Policy::default() })?;
    let owned = owned.display();
    let reason = match why {
        Why::NotRoot => "because without root all apps run as you".to_owned(),
        Why::NoSwitching => "the default user, because passenger_user_switching is off".to_owned(),
        Why::Directive => "because of passenger_user or --user".to_owned(),
        Why::Owner => format!("the owner of {owned}"),
        Why::NoSuchUser => {
            format!("the default user, because the user \"{}\" does not exist", wanted.unwrap_or_default())
        }
        Why::NoSuchOwner => format!("the default user, because the owner of {owned} has no account"),
        Why::NeverRoot if wanted.is_some() => {
            "the default user, because passenger_user is root, and apps do not run as root".to_owned()
        }
        Why::NeverRoot => {
            format!("the default user, because {owned} belongs to root, and apps do not run as root")
        }
    };
    Ok((user, reason))
}
