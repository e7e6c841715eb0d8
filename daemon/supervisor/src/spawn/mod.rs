//! The start of app processes, from the router's order to a child process about to call `exec`.
//!
//! [`starts`] has the steps in their order. [`precheck`], which a stat worker answers, locates the app ([`app_files`])
//! and determines its user ([`user`]); [`command`] and [`environment`] determine what is executed; [`child`] executes it.
//! A preloader forks instead ([`forks`]). How the app uses its sockets and pipes is not handled here.

pub(crate) mod app_files;
mod channels;
mod child;
mod command;
mod defaults;
pub(crate) mod disclosure;
mod env_file;
mod environment;
mod error;
mod forks;
mod login_shell;
mod masked;
mod native;
mod one_off;
mod policy;
mod ports;
pub(crate) mod precheck;
mod revision;
mod starts;
mod toolchain;
mod user;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::unistd::{self, Uid};
use protocol::app_settings::ProcessSettings;
use protocol::request::AppKind;

pub(super) use command::Term;
pub(super) use disclosure::{Refusal, answer};
#[cfg(feature = "fuzzing")]
pub use env_file::env_file_variables;
pub use environment::Environment;
pub(super) use environment::{inherited, secrets, shown_to_owners};
pub use one_off::{Conditions, OneOff, OneOffError};
pub use policy::Policy;
pub(super) use precheck::{Precheck, ResolvedApp};
pub(super) use starts::{Context, ForkOrder, Reply, Starts};
pub use user::Why;

use super::cgroups::{Cgroup, Cgroups};
use super::lifecycle::rlimits::Originals;
use channels::{AppListener, Pipes};
use command::Command;
use common::config::UserOptions;
use common::instance::Instance;
use common::link::{AppUser, CgroupLimits, Listen, ProcessId, ProcessRecord, SpawnSpec};
use common::sys::process::{self, Child, Forked};
use environment::Reported;
use error::SpawnError;
use login_shell::{Changes, LoginShell, Numbers};
use ports::Ports;
use toolchain::Search;
use user::{Asked, Directory, Owner, RunAs, Wanted};

/// Returns the user that a daemon with the caller's rights would run an app as, and why. `owned` is the startup file,
/// or the root of a generic app.
///
/// # Errors
///
/// Returns a sentence for the operator.
pub fn would_run_as(
    users: &UserOptions,
    user: Option<&str>,
    group: Option<&str>,
    owned: &Path,
    policy: &Policy,
) -> Result<(AppUser, Why), String> {
    let owner = app_files::owner(owned).map_err(|why| format!("{}: {why}", owned.display()))?;
    let run_as = decide(users, Wanted { user, group }, owner, policy).map_err(|why| why.to_string())?;
    Ok((run_as.user, run_as.why))
}

/// Checks whether nginx's default user and group can be used.
pub(super) fn check_users(users: &UserOptions, policy: &Policy) -> Result<(), String> {
    user::check_defaults(users, policy, &user::System)
}

/// The settings and resources that every start needs.
#[derive(Debug)]
pub(super) struct Launcher {
    pub(super) users: UserOptions,
    /// The values that nginx requests for `users`, until they are checked.
    pub(super) wanted_users: Option<UserOptions>,
    pub(super) policy: Policy,
    pub(super) loaders: PathBuf,
    pub(super) native_support: PathBuf,
    /// The directory in which root may read environment files for apps.
    pub(super) env_dir: PathBuf,
    pub(super) environment: Environment,
    pub(super) originals: Originals,
    pub(super) ports: Ports,
    /// Set when each process has its own control group.
    pub(super) cgroups: Option<Cgroups>,
}

/// A started process.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) child: Child,
    pub(super) record: ProcessRecord,
    pub(super) pipes: Pipes,
    pub(super) term: Term,
    /// Set for preloaders only.
    pub(super) control: Option<Control>,
    pub(super) cgroup: Option<Cgroup>,
}

/// The additional state that the supervisor has of a preloader.
#[derive(Debug)]
pub(super) struct Control {
    /// The socket over which fork orders are sent.
    pub(super) socket: OwnedFd,
    /// The specification that it was started with.
    pub(super) spec: SpawnSpec,
}

impl Launcher {
    /// Starts a process for `spec`, whose precheck found `resolved`. `taken` returns whether a live process has a port.
    pub(super) fn launch(
        &mut self,
        spec: &SpawnSpec,
        resolved: ResolvedApp,
        process: ProcessId,
        instance: &Instance,
        taken: impl Fn(u16) -> bool,
    ) -> Result<Launched, SpawnError> {
        check_variables(spec)?;
        let (command, term) = command::of(spec, &self.loaders)?;
        let ResolvedApp { startup_file, run_as, env_file, .. } = resolved;
        let user = Uid::from_raw(run_as.user.uid);
        let native = native::offer(&self.native_support, spec);
        let (listener, control) = self.open_listener(spec, process, user, instance, taken)?;
        let changes = environment::changes(
            spec,
            Reported {
                account: run_as.account.as_ref(),
                env_file: &env_file,
                startup_file: startup_file.as_deref(),
                port: listener.port(),
                socket: listener.own_socket(),
                native: native.as_deref(),
                has_listener: matches!(listener, AppListener::Listener(..)),
            },
        );
        let environment = environment::build(&self.environment, &changes);
        let (shell, variables) = login_shell(spec, &run_as, &changes, listener.numbers())?;
        let address = listener.address();
        let what = What { command: &command, spec, run_as: &run_as, environment: &environment, shell };
        let cgroup = self.cgroup(&spec.group, process, CgroupLimits::from(&spec.settings))?;
        let (child, pipes) = match self.fork(&what, listener, variables, cgroup.as_ref()) {
            Ok(forked) => forked,
            Err(why) => {
                self.end_cgroup(cgroup);
                return Err(why);
            }
        };
        let record = ProcessRecord {
            process,
            pid: child.pid().as_raw(),
            address,
            user: run_as.user,
            started_ms: common::sys::clock::steady_ms(),
            max_concurrent: None,
            revision: None,
            native: None,
            environment: masked::masked(&environment, &env_file),
            handover_data: spec.handover_data.clone(),
        };
        // Its forks inherit its environment and have their own handover data.
        let kept = || {
            let settings = ProcessSettings { env_var: Vec::new(), env_file: None, ..spec.settings.clone() };
            SpawnSpec { settings, handover_data: Vec::new(), ..spec.clone() }
        };
        let control = control.map(|socket| Control { socket, spec: kept() });
        Ok(Launched { child, record, pipes, term, control, cgroup })
    }

    /// Creates a control group for a process; `None` when control groups are not used.
    pub(super) fn cgroup(
        &self,
        app: &str,
        process: ProcessId,
        limits: CgroupLimits,
    ) -> Result<Option<Cgroup>, SpawnError> {
        if self.cgroups.is_none() && limits != CgroupLimits::default() {
            tracing::warn!(
                "{app}: passenger_cgroup_* limits are not enforced: the daemon was started without --cgroups"
            );
        }
        let made = self.cgroups.as_ref().map(|cgroups| cgroups.make(app, process, limits));
        made.transpose().map_err(SpawnError::Cgroup)
    }

    /// Removes control groups that have become empty.
    pub(super) fn sweep_cgroups(&mut self) {
        if let Some(cgroups) = &mut self.cgroups {
            cgroups.sweep();
        }
    }

    /// Ends the control group of a process that has ended.
    pub(super) fn end_cgroup(&mut self, cgroup: Option<Cgroup>) {
        if let (Some(cgroups), Some(cgroup)) = (&mut self.cgroups, cgroup) {
            cgroups.end(cgroup);
        }
    }

    fn open_listener(
        &mut self,
        spec: &SpawnSpec,
        process: ProcessId,
        user: Uid,
        instance: &Instance,
        taken: impl Fn(u16) -> bool,
    ) -> Result<(AppListener, Option<OwnedFd>), SpawnError> {
        if spec.preloader {
            let (ours, theirs) = forks::control().map_err(SpawnError::Pipes)?;
            return Ok((AppListener::Control(theirs), Some(ours)));
        }
        if spec.kind == AppKind::Generic && spec.settings.app_listen == Listen::Socket {
            let path = instance.make_place_for_socket(process, user).map_err(SpawnError::Listen)?;
            return Ok((AppListener::Own(path), None));
        }
        let opens_a_port = spec.kind == AppKind::Meteor || spec.settings.app_listen == Listen::Port;
        if matches!(spec.kind, AppKind::Generic | AppKind::Meteor) && opens_a_port {
            let port = self.ports.take(taken).map_err(SpawnError::Port)?;
            return Ok((AppListener::Port(port), None));
        }
        let (path, socket) = instance.listen_for_app(process).map_err(SpawnError::Listen)?;
        match spec.kind {
            AppKind::Generic => Ok((AppListener::Listener(path, socket), None)),
            _ => Ok((AppListener::Socket(path, socket), None)),
        }
    }

    fn fork(
        &self,
        what: &What<'_>,
        listener: AppListener,
        variables: Option<OwnedFd>,
        cgroup: Option<&Cgroup>,
    ) -> Result<(Child, Pipes), SpawnError> {
        let procs_file = cgroup.map(Cgroup::procs_file).transpose().map_err(SpawnError::Cgroup)?;
        let (ours, theirs) = channels::make_pipes().map_err(SpawnError::Pipes)?;
        let supervisor = unistd::getpid();
        match process::fork().map_err(SpawnError::Fork)? {
            Forked::Parent(child) => Ok((child, ours)),
            Forked::Child => {
                let (descriptors, report) = match theirs.for_child(listener, variables) {
                    Ok(split) => split,
                    // Out of descriptors: the parent sees the end of the report pipe and the exit status.
                    Err(_) => process::exit_now(1),
                };
                let plan = child::Plan {
                    command: what.command,
                    search: Search::of(what.spec, what.run_as.home()),
                    shell: what.shell,
                    group: &what.spec.group,
                    root: &what.spec.root,
                    run_as: what.run_as,
                    environment: what.environment,
                    originals: &self.originals,
                    settings: &what.spec.settings,
                    cgroup: procs_file,
                    descriptors,
                    supervisor,
                };
                child::run(plan, report)
            }
        }
    }
}

fn decide(
    users: &UserOptions,
    wanted: Wanted<'_>,
    owner: Owner,
    policy: &Policy,
) -> Result<RunAs, SpawnError> {
    decide_by(users, wanted, owner, policy, &user::System)
}

/// Chooses the user. Without root, the daemon's own user is the only choice.
fn decide_by(
    users: &UserOptions,
    wanted: Wanted<'_>,
    owner: Owner,
    policy: &Policy,
    directory: &impl Directory,
) -> Result<RunAs, SpawnError> {
    let euid = unistd::geteuid();
    if !euid.is_root() {
        return Ok(user::unchanged(euid, unistd::getegid(), directory)?);
    }
    let gates = policy.gates().map_err(SpawnError::Policy)?;
    let asked = Asked { wanted, owner, policy, gates: &gates };
    Ok(user::decide(users, asked, directory)?)
}

/// Returns the user's login shell, through which the command is run, and the variables that the shell reads; none when
/// this is not configured or the shell is not a known one.
fn login_shell<'a>(
    spec: &SpawnSpec,
    run_as: &'a RunAs,
    changes: &Changes,
    numbers: Numbers,
) -> Result<(Option<LoginShell<'a>>, Option<OwnedFd>), SpawnError> {
    let shell = run_as.account.as_ref().map(|account| account.shell.as_path()).unwrap_or(Path::new(""));
    if !spec.settings.load_shell_envvars {
        return Ok((None, None));
    }
    if !login_shell::is_known(shell) {
        let (user, shell) = (&run_as.user.name, shell.display());
        tracing::debug!("{}: started without a login shell, as that of {user} is \"{shell}\"", spec.group);
        return Ok((None, None));
    }
    let variables = login_shell::file_of(changes).map_err(SpawnError::Variables)?;
    Ok((Some(LoginShell { shell, numbers }), Some(variables)))
}

/// What is executed, and as which user.
struct What<'a> {
    command: &'a Command,
    spec: &'a SpawnSpec,
    run_as: &'a RunAs,
    environment: &'a Environment,
    shell: Option<LoginShell<'a>>,
}

/// Rejects names with `=`, which would set another variable, and NULs, which would truncate the value.
fn check_variables(spec: &SpawnSpec) -> Result<(), SpawnError> {
    let possible = |(name, value): &(String, String)| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    };
    match spec.settings.env_var.iter().find(|variable| !possible(variable)) {
        Some((name, _)) => Err(SpawnError::Variable(name.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an ordinary app of `kind` in `root`.
    pub(super) fn spec(kind: AppKind, root: &str) -> SpawnSpec {
        SpawnSpec {
            group: "/app (production)".into(),
            kind,
            root: root.into(),
            startup_file: "config.ru".into(),
            start_command: String::new(),
            found: String::new(),
            interpreter: String::new(),
            base_uri: String::new(),
            server_software: "nginx/1.22.1".into(),
            threads: 1,
            preloader: false,
            settings: ProcessSettings { load_shell_envvars: false, ..ProcessSettings::default() },
            handover_data: Vec::new(),
        }
    }

    #[test]
    fn rejects_variables_that_would_set_others() {
        let mut spec = spec(AppKind::Ruby, "/app");
        for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0y")] {
            spec.settings.env_var = vec![("GOOD".into(), "x".into()), (name.into(), value.into())];
            assert!(matches!(check_variables(&spec), Err(SpawnError::Variable(_))), "{name:?}");
        }
    }
}
