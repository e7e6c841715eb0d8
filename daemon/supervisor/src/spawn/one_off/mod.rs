//! A command in the place of an app's process, for consoles, migrations and cron jobs: the same user, environment,
//! directory and limits, determined by the code that starts processes.
//!
//! The calling process becomes the command, so terminal, job control, signals and exit status are the caller's. Unlike a
//! process of the app it has no listener, no pipes of the daemon, no session and no control group of its own.

mod conditions;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::resource::{self, Resource};
use nix::sys::stat::{self, Mode};
use nix::unistd;

pub use conditions::Conditions;

use super::child::{self, Failure};
use super::command::Command;
use super::environment::{self, Environment, Reported};
use super::login_shell::{LoginShell, Numbers};
use super::precheck::{Precheck, ResolvedApp};
use super::toolchain::{Search, Toolchain};
use super::user::RunAs;
use super::{check_variables, login_shell};
use common::config::UserOptions;
use common::link::SpawnSpec;
use common::sys::identity::{self, Identity};
use common::sys::{accounts, descriptors, signals, terminal};

/// Run instead of a login shell that is none, such as `nologin`.
const USUAL_SHELL: &str = "/bin/sh";
/// The descriptor of the variables for a login shell.
const NUMBERS: Numbers = Numbers { variables: 3, report: None };

/// A command to run as a process of an app.
#[derive(Debug)]
pub struct OneOff<'a> {
    /// How the app's processes are started.
    pub spec: &'a SpawnSpec,
    /// The default user and group in effect.
    pub users: &'a UserOptions,
    /// The conditions of the daemon.
    pub conditions: &'a Conditions,
    /// What processes inherit from the daemon.
    pub inherited: &'a Environment,
    /// Variables of the caller that describe its terminal.
    pub terminal: &'a [(OsString, OsString)],
    /// The program with its arguments; empty for the user's shell.
    pub command: &'a [OsString],
}

/// Why the command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum OneOffError {
    /// The program was not found.
    #[error("{0}")]
    NotFound(String),
    /// The program was found and cannot be executed.
    #[error("{0}")]
    NotExecutable(String),
    /// Any other reason.
    #[error("{0}")]
    Refused(String),
}

impl OneOff<'_> {
    /// Becomes the command. Must be called by a process with one thread. Returns only if that fails.
    pub fn exec(&self) -> OneOffError {
        match self.prepare() {
            Ok(ready) => ready.execute().into(),
            Err(why) => why,
        }
    }

    fn prepare(&self) -> Result<child::Ready, OneOffError> {
        self.become_daemons_user()?;
        check_variables(self.spec).map_err(refused)?;
        let resolved = self.resolve()?;
        let (shell, environment, variables) = self.environment(&resolved)?;
        self.limit().map_err(|why| refused(format!("cannot set the limits of the app: {why}")))?;
        // What it runs must not type into the terminal of root.
        if unistd::geteuid().is_root() {
            terminal::forbid_typing()
                .map_err(|why| refused(format!("cannot protect the terminal: {why}")))?;
        }
        child::become_user(&resolved.run_as, &self.spec.settings)?;
        child::enter(&self.spec.root, &resolved.run_as.user.name)?;
        stat::umask(Mode::from_bits_truncate(self.conditions.umask));
        let first = self.interpreter_directories(&resolved.run_as);
        let command = self.program(&resolved.run_as);
        let ready = child::found_first(&command, shell, &self.spec.root, &environment, &first)?;
        place(variables).map_err(|why| refused(format!("cannot prepare its descriptors: {why}")))?;
        Ok(ready)
    }

    /// A daemon that is not root runs apps as its own user: so does root with that daemon's apps.
    fn become_daemons_user(&self) -> Result<(), OneOffError> {
        let daemon = self.conditions.daemon();
        if daemon.is_root() || !unistd::geteuid().is_root() {
            return Ok(());
        }
        let account = accounts::user_numbered(daemon).map_err(refused)?;
        let account = account.ok_or_else(|| refused(format!("the daemon's user {daemon} has no account")))?;
        let groups = accounts::groups_of(&account.name, account.gid).map_err(refused)?;
        terminal::forbid_typing().map_err(|why| refused(format!("cannot protect the terminal: {why}")))?;
        identity::become_for_good(&Identity { uid: daemon, gid: account.gid, groups }).map_err(refused)
    }

    fn resolve(&self) -> Result<ResolvedApp, OneOffError> {
        let Conditions { policy, env_dir, .. } = self.conditions;
        let precheck = Precheck::new(self.spec, (self.users, None), policy, env_dir).map_err(refused)?;
        let resolved = precheck.look().resolved.map_err(refused)?;
        precheck.add_variables(resolved).map_err(refused)
    }

    /// Returns the login shell that sets the environment, the environment, and the variables that the shell reads.
    fn environment<'r>(
        &self,
        resolved: &'r ResolvedApp,
    ) -> Result<(Option<LoginShell<'r>>, Environment, Option<OwnedFd>), OneOffError> {
        let run_as = &resolved.run_as;
        let mut changes = environment::changes(
            self.spec,
            Reported {
                native: None,
                account: run_as.account.as_ref(),
                env_file: &resolved.env_file,
                ..Reported::default()
            },
        );
        // Those are for the loaders.
        changes.retain(|name, _| !environment::is_own(name));
        for (name, value) in self.terminal {
            changes.entry(name.clone()).or_insert_with(|| Some(value.clone()));
        }
        let built = environment::build(self.inherited, &changes);
        let (shell, variables) = login_shell(self.spec, run_as, &changes, NUMBERS).map_err(refused)?;
        Ok((shell, built, variables))
    }

    /// Returns the directories that come first in `PATH`: that of the configured interpreter, or those that the files of
    /// the app ask for. Called with the rights of the app's user.
    fn interpreter_directories(&self, run_as: &RunAs) -> OsString {
        match interpreter_dir(self.spec) {
            Some(dir) => dir.into_os_string(),
            None => Toolchain::find(Search::of(self.spec, run_as.home()), &self.spec.root).path(),
        }
    }

    fn program(&self, run_as: &RunAs) -> Command {
        let Some((program, arguments)) = self.command.split_first() else {
            let shell = run_as.account.as_ref().map(|account| account.shell.as_path());
            let shell = shell.filter(|shell| super::login_shell::is_known(shell));
            let shell = shell.unwrap_or(Path::new(USUAL_SHELL));
            return Command { programs: vec![shell.to_string_lossy().into_owned()], arguments: Vec::new() };
        };
        Command { programs: vec![program.to_string_lossy().into_owned()], arguments: arguments.to_vec() }
    }

    /// Sets the limit of open files with which processes are started. An ordinary user has no more than its own.
    fn limit(&self) -> io::Result<()> {
        let (soft, hard) = self.conditions.open_files;
        let (soft, hard) = match self.spec.settings.app_file_descriptor_ulimit {
            Some(limit) => (limit, limit),
            None => (soft, hard),
        };
        let most =
            if unistd::geteuid().is_root() { hard } else { resource::getrlimit(Resource::RLIMIT_NOFILE)?.1 };
        Ok(resource::setrlimit(Resource::RLIMIT_NOFILE, soft.min(most), hard.min(most))?)
    }
}

/// Returns the directory of the configured interpreter, which is to be found first: that of a virtualenv or a version.
fn interpreter_dir(spec: &SpawnSpec) -> Option<PathBuf> {
    let path = Path::new(&spec.interpreter);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty())?;
    let dir = spec.root.join(dir);
    // Another directory would be meant.
    (!dir.as_os_str().as_bytes().contains(&b':')).then_some(dir)
}

/// Gives the command the caller's standard descriptors and the variables, and nothing else.
fn place(variables: Option<OwnedFd>) -> io::Result<()> {
    // The standard library ignores it, and a program expects that it does not.
    signals::default(nix::sys::signal::Signal::SIGPIPE)?;
    let standard = [io::stdin().as_fd().try_clone_to_owned(), io::stdout().as_fd().try_clone_to_owned()];
    let mut all = standard.into_iter().collect::<io::Result<Vec<_>>>()?;
    all.push(io::stderr().as_fd().try_clone_to_owned()?);
    all.extend(variables);
    descriptors::place_for_exec(all)
}

fn refused(why: impl ToString) -> OneOffError {
    OneOffError::Refused(why.to_string())
}

impl From<Failure> for OneOffError {
    fn from(failure: Failure) -> Self {
        let why = failure.to_string();
        match failure {
            Failure::NotFound { .. } => Self::NotFound(why),
            Failure::Exec { why: nix::errno::Errno::ENOENT, .. } => Self::NotFound(why),
            Failure::Exec { .. } => Self::NotExecutable(why),
            _ => Self::Refused(why),
        }
    }
}
