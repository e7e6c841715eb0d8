//! The router process: started without privileges; messages to it never block the supervisor.
//!
//! Messages that it does not accept yet are queued, up to a limit; beyond it the router is replaced.

use std::collections::VecDeque;
use std::ffi::{CString, NulError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{self, Pid};
use protocol::app_settings::SchedulingPolicy;

use super::heartbeat::{Heartbeat, HeartbeatAction};
use super::log::RouterLog;
use crate::lifecycle::rlimits::Originals;
use common::config::Options;
use common::link::Notice;
use common::link::channel::{Channel, Encoded};
use common::log::{self, LogLevel, Part, Source};
use common::sys::accounts::{self, Account, LookupError};
use common::sys::identity::{self, Identity};
use common::sys::process::{self, Child, Forked};
use common::sys::{descriptors, scheduling, signals};

/// The hidden first argument that makes this program the router.
pub const ROUTER_ARGUMENT: &str = "router";

/// A router that leaves a message unread for longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a router that has finished to exit.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of queued messages; a working router never reaches it.
const MAX_WAITING: usize = 16 * 1024;

/// Number of queued messages from which the router's orders are not read either.
const MAX_UNREAD: usize = 256;
/// Bytes of queued messages from which the router's orders are not read either.
const MAX_UNREAD_BYTES: usize = 1024 * 1024;

/// The parameters of each start of a router.
#[derive(Debug)]
pub(crate) struct RouterPlan {
    program: [CString; 4],
    environment: Vec<CString>,
    identity: Option<Identity>,
    user: String,
    policy: SchedulingPolicy,
    /// Ping interval and ping timeout of the router.
    silence: Duration,
}

/// Why a router cannot be planned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouterError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("its environment cannot be built: {0}")]
    Environment(#[from] NulError),
}

impl RouterPlan {
    /// Creates the plan. `silence` is the ping interval and ping timeout.
    pub(crate) fn new(options: &Options, silence: Duration) -> Result<Self, RouterError> {
        let user = options.router_user.as_ref();
        let identity = user.map(identity_of).transpose()?;
        let level = level_argument(options.log_level);
        let format = format!("--log-format={}", options.log_format.name());
        Ok(Self {
            program: [
                c"flying-passenger".into(),
                CString::new(ROUTER_ARGUMENT)?,
                CString::new(level)?,
                CString::new(format)?,
            ],
            environment: environment()?,
            identity,
            user: user.map_or_else(own_name, |account| account.name.clone()),
            policy: options.scheduling_policy(),
            silence,
        })
    }

    /// Sets the log level of the next router.
    pub(crate) fn set_log_level(&mut self, level: LogLevel) {
        if let Ok(word) = CString::new(level_argument(level)) {
            self.program[2] = word;
        }
    }

    /// Starts a router.
    pub(super) fn start(&self, originals: &Originals) -> io::Result<RouterProcess> {
        let (ours, theirs) = Channel::pair()?;
        let (log, output) = RouterLog::pair()?;
        let supervisor = unistd::getpid();
        match process::fork()? {
            Forked::Parent(child) => {
                tracing::info!("router started on PID {} as {}", child.pid(), self.user);
                let started = Instant::now();
                Ok(RouterProcess {
                    child,
                    channel: ours,
                    log,
                    waiting: VecDeque::new(),
                    waiting_bytes: 0,
                    started,
                    heartbeat: Heartbeat::new(self.silence, started),
                    exits_by: None,
                    killed: None,
                })
            }
            Forked::Child => {
                // Returns only on failure.
                let Err(why) = self.become_router(theirs, output, supervisor, originals);
                tracing::error!("the router cannot be started: {why}");
                process::exit_now(1)
            }
        }
    }

    fn become_router(
        &self,
        link: Channel,
        log: OwnedFd,
        supervisor: Pid,
        originals: &Originals,
    ) -> io::Result<std::convert::Infallible> {
        // A separate session: Ctrl-C in a terminal is for the supervisor.
        unistd::setsid()?;
        signals::reset()?;
        // The supervisor reopens the log at SIGUSR1; sent to every process of this name, it must not end the router.
        signals::ignore(Signal::SIGUSR1)?;
        originals.restore_oom_score()?;
        self.set_policy();
        if let Some(identity) = &self.identity {
            identity::become_for_good(identity).map_err(io::Error::other)?;
        }
        prctl::set_no_new_privs()?;
        // After the change of user, which would clear it.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if unistd::getppid() != supervisor {
            return Err(io::Error::other("the supervisor has just ended"));
        }
        let null = OwnedFd::from(std::fs::File::options().read(true).write(true).open("/dev/null")?);
        descriptors::place_for_exec(vec![null.try_clone()?, null, log, link.into_fd()])?;
        // The program that runs here, even if its file has been replaced meanwhile.
        let Err(why) = unistd::execve(c"/proc/self/exe", &self.program, &self.environment);
        Err(why.into())
    }

    /// Sets the scheduling policy. The router starts without it as well: it costs more processor time then.
    fn set_policy(&self) {
        if self.policy == SchedulingPolicy::Batch
            && let Err(why) = scheduling::become_batch()
        {
            tracing::warn!(
                "the router starts without the scheduling policy SCHED_BATCH: {why}; allow the daemon the system calls \
                 sched_getscheduler and sched_setscheduler, or give --scheduling-policy=other"
            );
        }
    }
}

/// To be called first in a router: denies other processes of its user access to it.
pub fn close_to_others() -> io::Result<()> {
    prctl::set_dumpable(false)?;
    prctl::set_name(c"flying-router")?;
    Ok(())
}

fn level_argument(level: LogLevel) -> String {
    format!("--log-level={level}")
}

fn identity_of(account: &Account) -> Result<Identity, LookupError> {
    let groups = accounts::groups_of(&account.name, account.gid)?;
    Ok(Identity { uid: account.uid, gid: account.gid, groups })
}

fn own_name() -> String {
    let uid = unistd::geteuid();
    let account = accounts::user_numbered(uid).ok().flatten();
    account.map_or_else(|| uid.to_string(), |account| account.name)
}

/// The router depends on the environment only for the time zone of its log.
fn environment() -> Result<Vec<CString>, NulError> {
    const KEPT: [&str; 2] = ["TZ", "RUST_BACKTRACE"];
    let kept = KEPT.iter().filter_map(|name| std::env::var(name).ok().map(|value| format!("{name}={value}")));
    kept.map(CString::new).collect()
}

/// A running router.
#[derive(Debug)]
pub(crate) struct RouterProcess {
    pub(crate) child: Child,
    pub(crate) channel: Channel,
    /// The pipe with its log lines.
    pub(crate) log: RouterLog,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    started: Instant,
    heartbeat: Heartbeat,
    exits_by: Option<Instant>,
    killed: Option<Instant>,
}

/// A message for which the link had no room.
#[derive(Debug)]
struct Waiting {
    message: Encoded,
    descriptors: Vec<OwnedFd>,
    since: Instant,
}

impl RouterProcess {
    pub(super) fn life(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether messages wait for room on the link.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether few of the messages sent to it are unread, so that more of its orders may be read.
    pub(super) fn reads(&self) -> bool {
        self.waiting.len() < MAX_UNREAD && self.waiting_bytes < MAX_UNREAD_BYTES
    }

    /// When [`RouterProcess::check`] has to run.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.killed {
            Some(_) => None,
            None => [self.stuck_at(), Some(self.heartbeat.due())].into_iter().flatten().min(),
        }
    }

    /// Records that a message was received.
    pub(super) fn note_message(&mut self, now: Instant) {
        self.heartbeat.note_message(now);
    }

    /// Checks that it reads, exits and answers in time; the error says what it does not do.
    pub(super) fn check(&mut self, now: Instant) -> Result<HeartbeatAction, String> {
        if self.stuck_at().is_some_and(|due| due <= now) {
            return Err("neither reads its messages nor exits".to_owned());
        }
        match self.heartbeat.step(now) {
            HeartbeatAction::GiveUp => {
                Err(format!("has not answered for {} s", self.heartbeat.limit().as_secs_f32()))
            }
            todo => Ok(todo),
        }
    }

    /// Whether it was killed so long ago that it should have ended.
    pub(super) fn is_undead(&self, now: Instant) -> bool {
        self.killed.is_some_and(|at| at + self.heartbeat.limit() <= now)
    }

    /// When it has to be replaced, unless it reads or exits before.
    fn stuck_at(&self) -> Option<Instant> {
        let unread_until = self.waiting.front().map(|first| first.since + TIMEOUT);
        [unread_until, self.exits_by].into_iter().flatten().min()
    }

    /// Records that it is about to exit.
    pub(super) fn note_finished(&mut self) {
        self.exits_by.get_or_insert(Instant::now() + EXIT_TIMEOUT);
    }

    /// Sends a message, or queues it until there is room. An error means that the router cannot be reached any more.
    pub(super) fn send(&mut self, notice: &Notice, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let message = Encoded::new(notice)?;
        if self.waiting.is_empty() {
            match self.channel.send_encoded(&message, descriptors) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
        if self.waiting.len() >= MAX_WAITING {
            return Err(io::Error::other("it leaves too many messages unread"));
        }
        let descriptors = descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect::<Result<_, _>>()?;
        self.waiting_bytes += message.len();
        self.waiting.push_back(Waiting { message, descriptors, since: Instant::now() });
        Ok(())
    }

    /// Sends queued messages, as far as there is room.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(first) = self.waiting.front() {
            let descriptors: Vec<_> = first.descriptors.iter().map(AsFd::as_fd).collect();
            match self.channel.send_encoded(&first.message, &descriptors) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                done => done?,
            }
            self.waiting_bytes -= first.message.len();
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Copies its log lines; `framed` says whether output of apps has a prefix. Returns whether more may be left.
    pub(super) fn copy_log(&mut self, framed: bool) -> bool {
        let source = Source { part: Part::Router, pid: self.child.pid().as_raw().unsigned_abs() };
        self.log.copy(&mut |lines| log::copy_lines(lines, source, framed))
    }

    /// Kills it; it is reaped like a router that ends by itself.
    pub(super) fn kill(&mut self) {
        if self.killed.is_some() {
            return;
        }
        self.killed = Some(Instant::now());
        if let Err(why) = self.child.signal(Signal::SIGKILL) {
            tracing::warn!("the router cannot be killed: {why}");
        }
    }
}
