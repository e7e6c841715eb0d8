//! The child's side of a start: a copy of the supervisor becomes the app's program.
//!
//! Carries out a complete [`Plan`], and writes one line to the report pipe on failure. It runs in a separate process
//! and never returns.

use std::borrow::Cow;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{self, AccessFlags, Pid};
use protocol::app_settings::{ProcessSettings, SchedulingPolicy};

use super::command::{self, Command};
use super::environment::Environment;
use super::login_shell::LoginShell;
use super::revision;
use super::toolchain::{Search, Toolchain};
use super::user::RunAs;
use crate::lifecycle::rlimits::{self, Originals};
use common::sys::identity::{self, IdentityError};
use common::sys::{descriptors, process, scheduling, signals};

/// Everything the child does.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) command: &'a Command,
    /// What the app's own files may choose.
    pub(super) search: Search<'a>,
    /// The login shell through which the command is run.
    pub(super) shell: Option<LoginShell<'a>>,
    /// The name of the app, for the log.
    pub(super) group: &'a str,
    pub(super) root: &'a Path,
    pub(super) run_as: &'a RunAs,
    pub(super) environment: &'a Environment,
    pub(super) originals: &'a Originals,
    pub(super) settings: &'a ProcessSettings,
    /// The file by which it enters its control group.
    pub(super) cgroup: Option<OwnedFd>,
    /// The program's descriptors 0, 1, 2 and so on.
    pub(super) descriptors: Vec<OwnedFd>,
    /// On its death the program receives SIGTERM, as it may not watch its owner pipe.
    pub(super) supervisor: Pid,
}

/// Why the program did not start. Completes the line `error …`.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A step failed that is unrelated to the app.
    #[error("cannot {0}: {1}")]
    Step(&'static str, io::Error),
    /// The user's identity could not be assumed.
    #[error("cannot run as the user \"{0}\": {1}")]
    Identity(String, IdentityError),
    /// A directory on the path to the app, or its root, is closed to the user.
    #[error("the user \"{user}\" cannot enter the directory {directory}: {}", why.desc())]
    Closed { user: String, directory: PathBuf, why: Errno },
    /// No program with these names was found.
    #[error("cannot run {programs}: found in none of the directories of PATH ({path})")]
    NotFound { programs: String, path: String },
    /// The kernel refused to execute the program.
    #[error("cannot run \"{program}\": {}", why.desc())]
    Exec { program: PathBuf, why: Errno },
}

/// Higher than any descriptor of a program.
const ABOVE_ALL: RawFd = 16;

/// Becomes the program, or reports why not and exits.
pub(super) fn run(plan: Plan<'_>, report: OwnedFd) -> ! {
    // Moves the pipe above the program's descriptors and closes the original before they are put in place: it may have
    // one of their numbers.
    let safe = descriptors::copy_above(&report, ABOVE_ALL);
    drop(report);
    let mut report = safe.map(File::from).ok();
    let mut report_line = |line: String| {
        // When this fails too, there is no way to report it.
        let _ = report.as_mut().map(|report| report.write_all(line.as_bytes()));
    };
    let failure = become_program(plan, &mut report_line);
    report_line(format!("error {}\n", one_line(&failure)));
    process::exit_now(1)
}

/// Replaces line breaks: the report pipe consists of lines, and a path may contain anything.
fn one_line(failure: &Failure) -> String {
    failure.to_string().replace(['\n', '\r'], "?")
}

fn become_program(plan: Plan<'_>, report_line: &mut dyn FnMut(String)) -> Failure {
    let root = plan.root;
    match prepare(plan) {
        Ok(ready) => {
            if !ready.found.is_empty() {
                report_line(format!("with {}\n", ready.found));
            }
            if let Some(revision) = revision::of(root) {
                report_line(format!("revision {revision}\n"));
            }
            ready.execute()
        }
        Err(failure) => failure,
    }
}

/// The arguments of `execve`.
pub(super) struct Ready {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// Why it is this program.
    found: String,
}

impl Ready {
    /// Executes the program; returns only if that fails.
    pub(super) fn execute(self) -> Failure {
        let Self { program, arguments, environment, found: _ } = self;
        let Err(why) = unistd::execve(&program, &arguments, &environment);
        Failure::Exec { program: PathBuf::from(OsStr::from_bytes(program.to_bytes())), why }
    }
}

fn prepare(mut plan: Plan<'_>) -> Result<Ready, Failure> {
    let step = |name| move |why: io::Error| Failure::Step(name, why);
    unistd::setsid().map_err(|why| Failure::Step("start a session", why.into()))?;
    signals::reset().map_err(step("reset its signals"))?;
    plan.originals.restore().map_err(step("restore the limits the daemon was started with"))?;
    if let Some(door) = plan.cgroup.take() {
        // Before it can start any process.
        File::from(door).write_all(b"0").map_err(step("enter its control group"))?;
    }
    if let Some(limit) = plan.settings.app_file_descriptor_ulimit {
        rlimits::set_open_files(limit).map_err(step("set passenger_app_file_descriptor_ulimit"))?;
    }
    become_user(plan.run_as, plan.settings)?;
    enter(plan.root, &plan.run_as.user.name)?;
    end_with(plan.supervisor).map_err(step("set its parent death signal"))?;
    set_policy(plan.settings.scheduling_policy, plan.group);
    let ready = command_line(&plan)?;
    descriptors::place_for_exec(plan.descriptors).map_err(step("put its descriptors in place"))?;
    Ok(ready)
}

/// Takes the app's user, and gives up what its settings say.
pub(super) fn become_user(run_as: &RunAs, settings: &ProcessSettings) -> Result<(), Failure> {
    if let Some(identity) = &run_as.identity {
        identity::become_for_good(identity)
            .map_err(|why| Failure::Identity(run_as.user.name.clone(), why))?;
    }
    if settings.no_new_privs {
        let failed = |why: Errno| Failure::Step("set passenger_no_new_privs", why.into());
        prctl::set_no_new_privs().map_err(failed)?;
    }
    Ok(())
}

/// Changes to the app's root, or returns the first directory on the path that the user cannot enter.
pub(super) fn enter(root: &Path, user: &str) -> Result<(), Failure> {
    let closed = |directory: &Path, why| Failure::Closed {
        user: user.to_owned(),
        directory: directory.to_path_buf(),
        why,
    };
    let mut way: Vec<&Path> = root.ancestors().collect();
    way.reverse();
    for directory in way {
        unistd::faccessat(AT_FDCWD, directory, AccessFlags::X_OK, AtFlags::AT_EACCESS)
            .map_err(|why| closed(directory, why))?;
    }
    unistd::chdir(root).map_err(|why| closed(root, why))
}

/// Requests SIGTERM at the supervisor's death. Must be called after the change of user, which cancels it.
fn end_with(supervisor: Pid) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    // It may have died before the line above: then no signal is sent.
    if unistd::getppid() == supervisor { Ok(()) } else { Err(io::Error::other("the daemon has just ended")) }
}

/// Sets the scheduling policy, which forks of a preloader inherit. A process starts without it as well: it costs more
/// processor time then.
fn set_policy(policy: SchedulingPolicy, group: &str) {
    if policy == SchedulingPolicy::Batch
        && let Err(why) = scheduling::become_batch()
    {
        tracing::warn!(
            "a process of {group} starts without the scheduling policy SCHED_BATCH: {why}; allow the daemon the system \
             calls sched_getscheduler and sched_setscheduler, or set passenger_scheduling_policy other"
        );
    }
}

fn command_line(plan: &Plan<'_>) -> Result<Ready, Failure> {
    let found = Toolchain::find(plan.search, plan.root);
    let command = found.apply(plan.command);
    let ready = found_first(&command, plan.shell, plan.root, plan.environment, &found.path())?;
    Ok(Ready { found: found.report(), ..ready })
}

/// Returns the arguments of `execve` for a command that is run through `shell`, if there is one, and is looked up in the
/// directories `first` and then in those of `PATH`.
pub(super) fn found_first(
    command: &Command,
    shell: Option<LoginShell<'_>>,
    root: &Path,
    environment: &Environment,
    first: &OsStr,
) -> Result<Ready, Failure> {
    if let Some(shell) = shell {
        return arguments_of(&shell.command(command, root, first), environment);
    }
    let mut environment = Cow::Borrowed(environment);
    if !first.is_empty() {
        let path = environment.to_mut().entry("PATH".into()).or_default();
        *path = [first, OsStr::new(":"), path].into_iter().collect();
    }
    arguments_of(command, &environment)
}

/// Returns the arguments of `execve`, with the program looked up in `PATH`.
fn arguments_of(command: &Command, environment: &Environment) -> Result<Ready, Failure> {
    let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new(""), |path| path.as_os_str());
    let program = command::find(&command.programs, path).ok_or_else(|| Failure::NotFound {
        programs: command.programs.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" or "),
        path: path.to_string_lossy().into_owned(),
    })?;
    let c_string =
        |bytes: &[u8]| CString::new(bytes).map_err(|why| Failure::Step("build its command line", why.into()));
    let program = c_string(program.as_os_str().as_bytes())?;
    let mut arguments = vec![program.clone()];
    for argument in &command.arguments {
        arguments.push(c_string(argument.as_bytes())?);
    }
    let mut variables = Vec::new();
    for (name, value) in environment {
        variables.push(c_string(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
    }
    if environment.contains_key(OsStr::new("LISTEN_FDS")) {
        variables.push(c_string(format!("LISTEN_PID={}", Pid::this()).as_bytes())?);
    }
    Ok(Ready { program, arguments, environment: variables, found: String::new() })
}
