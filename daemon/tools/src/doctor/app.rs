//! The app to test: type, settings and user, each with the reason, from the directory, the flags and running daemons.
//! Nothing is started here.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use module_core::app_kind::AppType;
use module_core::app_location::{AppConf, find_app};
use module_core::detect::startup_file;
use protocol::request::AppKind;
use protocol::settings::{Settings, Value};

use super::arguments::Doctor;
use super::no_app::NoApp;
use super::running_daemons::{KnownApp, Serving, without_own};
use super::settings::{settings, text};
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
    pub(super) because: String,
    pub(super) start_command: String,
    pub(super) settings: Settings,
    /// The PID of the daemon that these settings are from.
    pub(super) known_to: Option<u32>,
    pub(super) users: UserOptions,
    /// The user to run as, with the reason.
    pub(super) user: Result<(AppUser, String), String>,
    /// Why a daemon would refuse to run it as this user.
    pub(super) refusal: Option<String>,
    /// Environment variables of the private daemon, and the PID of the daemon they are from.
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) variables_of: Option<u32>,
}

impl TestedApp {
    /// Examines the app that the arguments name.
    pub(super) fn examine(doctor: &Doctor) -> Result<Self, NoApp> {
        let root = absolute(&doctor.app);
        if !root.is_dir() {
            let advice = "Name the app's directory: the one that holds public, and config.ru or its like.";
            let problem = format!("{} is no directory, or you may not enter it", root.display());
            return Err(NoApp::new(&root, problem, advice));
        }
        let serving = Serving::find(&root, doctor.environment.as_deref());
        let known = serving.as_ref().and_then(|serving| serving.app.clone());
        let (kind, start_command, because) = kind(doctor, &root, known.as_ref())?;
        let defaults = serving.as_ref().map(|serving| &serving.defaults);
        let configured = [defaults, known.as_ref().map(|known| &known.settings)];
        let settings = settings(doctor, configured.into_iter().flatten())
            .map_err(|why| NoApp::new(&root, why, "Give it as --env NAME=VALUE."))?;
        let users = serving.as_ref().map(|serving| serving.users.clone()).unwrap_or_else(usual_users);
        let user = user(&root, kind, &settings, &users);
        let refusal = user.as_ref().ok().and_then(|_| refusal(&root, kind, &settings, &users));
        let variables_of = serving.as_ref().filter(|serving| serving.variables.is_some()).map(|s| s.pid);
        let known_to = serving.as_ref().filter(|_| known.is_some()).map(|serving| serving.pid);
        let variables = serving.and_then(|serving| serving.variables);
        let group = known.map(|known| known.group);
        Ok(Self {
            group: group.unwrap_or_else(|| {
                format!("{} ({})", root.display(), text(&settings, "app_env", "production"))
            }),
            root,
            kind,
            because,
            start_command,
            settings,
            known_to,
            users,
            user,
            refusal,
            variables: variables.unwrap_or_else(|| without_own(std::env::vars_os())),
            variables_of,
        })
    }

    /// Returns the environment of the app, as in `passenger_app_env`.
    pub(super) fn app_env(&self) -> &str {
        text(&self.settings, "app_env", "production")
    }

    /// Returns the startup file as written in messages; for a generic app the start command.
    pub(super) fn entrance(&self) -> String {
        match startup_file(self.kind) {
            Some(usual) => text(&self.settings, "startup_file", usual).to_owned(),
            None => self.start_command.clone(),
        }
    }

    /// Returns the maximum number of seconds until it is ready.
    pub(super) fn start_timeout(&self) -> u64 {
        match self.settings.get("start_timeout") {
            Some(Value::Number(seconds)) => u64::try_from(*seconds).unwrap_or(START_TIMEOUT),
            _ => START_TIMEOUT,
        }
    }
}

/// Returns the absolute path; symlinks are kept, as in app roots.
fn absolute(path: &Path) -> PathBuf {
    let joined = std::env::current_dir().map_or_else(|_| path.to_path_buf(), |here| here.join(path));
    joined.components().filter(|part| *part != Component::CurDir).collect()
}

/// Determines the type: flags take precedence, then the configuration, then the files in the directory.
fn kind(doctor: &Doctor, root: &Path, known: Option<&KnownApp>) -> Result<(AppKind, String, String), NoApp> {
    let by_flag = doctor.app_type.is_some() || doctor.start_command.is_some();
    if let Some(known) = known.filter(|_| !by_flag) {
        return Ok((known.kind, known.start_command.clone(), "as it is configured".to_owned()));
    }
    let conf = AppConf {
        kind: doctor.app_type.as_deref().map(AppType::parse),
        start_command: doctor.start_command.clone(),
        ..AppConf::default()
    };
    let because = |kind: AppKind| match (&doctor.start_command, &doctor.app_type) {
        (Some(_), _) => "as --start-command is given".to_owned(),
        (None, Some(_)) => "as --type says".to_owned(),
        (None, None) => {
            let file = startup_file(kind).unwrap_or("Passengerfile.json");
            format!("as {file} is there")
        }
    };
    match find_app(&conf, root.as_os_str().as_encoded_bytes()) {
        Ok(Some(app)) => Ok((app.kind, app.start_command, because(app.kind))),
        Ok(None) => Err(NoApp::in_directory(root)),
        Err(why) => {
            let advice = "Run this as a user who may read the app, or name its type with --type.";
            Err(NoApp::new(root, why.to_string(), advice))
        }
    }
}

fn usual_users() -> UserOptions {
    UserOptions { switching: true, default_user: "nobody".to_owned(), default_group: None }
}

/// Returns the path whose owner determines the app's user: the startup file, or the root of a generic app.
fn owned(root: &Path, kind: AppKind, settings: &Settings) -> PathBuf {
    match startup_file(kind) {
        Some(usual) => root.join(text(settings, "startup_file", usual)),
        None => root.to_path_buf(),
    }
}

/// Returns why the running daemons would refuse to run it as its user, as far as can be determined from outside.
fn refusal(root: &Path, kind: AppKind, settings: &Settings, users: &UserOptions) -> Option<String> {
    let router = accounts::user_named(ROUTER_USER).ok().flatten();
    let policy = Policy {
        sockets: instances().into_iter().map(|found| found.properties.socket_file).collect(),
        router: router.map(|user| (user.uid.as_raw(), user.gid.as_raw())),
        ..Policy::default()
    };
    let given = |name: &str| Some(text(settings, name, "")).filter(|text| !text.is_empty());
    let owned = owned(root, kind, settings);
    let why = would_run_as(users, given("user"), given("group"), &owned, &policy).err()?;
    Some(format!("unless its flags allow that, the daemon does not start it: {why}"))
}

fn user(
    root: &Path,
    kind: AppKind,
    settings: &Settings,
    users: &UserOptions,
) -> Result<(AppUser, String), String> {
    let owned = owned(root, kind, settings);
    let given = |name: &str| Some(text(settings, name, "")).filter(|text| !text.is_empty());
    let (wanted, group) = (given("user"), given("group"));
    let anything = vec!["*".to_owned()];
    let allowed = AllowedIdentities { users: anything.clone(), groups: anything };
    let (user, why) = would_run_as(users, wanted, group, &owned, &Policy { allowed, ..Policy::default() })?;
    let owned = owned.display();
    let because = match why {
        Why::NotRoot => "as without root everything runs as you".to_owned(),
        Why::NoSwitching => "the default user, as passenger_user_switching is off".to_owned(),
        Why::Directive => "as passenger_user, or --user, says".to_owned(),
        Why::Owner => format!("the owner of {owned}"),
        Why::NoSuchUser => {
            format!("the default user, as there is no user \"{}\"", wanted.unwrap_or_default())
        }
        Why::NoSuchOwner => format!("the default user, as the owner of {owned} has no account"),
        Why::NeverRoot if wanted.is_some() => {
            "the default user, as passenger_user names root, and no app runs as root".to_owned()
        }
        Why::NeverRoot => {
            format!("the default user, as {owned} belongs to root, and no app runs as root")
        }
    };
    Ok((user, because))
}
