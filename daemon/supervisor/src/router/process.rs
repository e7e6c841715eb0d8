//! The router as a process: started without rights, spoken to without ever waiting for it.
//!
//! Messages it does not take yet wait here, up to a limit; then it is a router to be replaced.

use std::collections::VecDeque;
use std::ffi::{CString, NulError};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{self, Pid};

use super::heartbeat;
use super::heartbeat::{Heartbeat, HeartbeatAction};
use super::log::RouterLog;
use crate::lifecycle::rlimits::Originals;
use common::link::Notice;
use common::link::channel::{Channel, Encoded};
use common::log::{LogFormat, LogLevel};
use common::sys::accounts;
use common::sys::accounts::{Account, LookupError};
use common::sys::identity;
use common::sys::identity::Identity;
use common::sys::process;
use common::sys::process::{Child, Forked};
use common::sys::{descriptors, signals};

/// The hidden first argument that makes this program the router.
pub const ROUTER_ARGUMENT: &str = "router";

/// A router that leaves a message waiting for longer is stuck.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a router that has finished needs to exit.
const TIME_TO_LEAVE: Duration = Duration::from_secs(2);
/// More waiting messages than a router that works ever leaves.
const MOST_WAITING: usize = 16 * 1024;

/// Waiting messages with which a router's orders wait as well.
const MANY_UNREAD: usize = 256;
/// Bytes of such messages.
const MANY_UNREAD_BYTES: usize = 1024 * 1024;

/// What each start of a router needs.
#[derive(Debug)]
pub(crate) struct RouterPlan {
    program: [CString; 4],
    environment: Vec<CString>,
    identity: Option<Identity>,
    user: String,
    /// How long a router may be silent.
    silence: Duration,
}

/// Why a router cannot be planned.
#[derive(Debug)]
pub(crate) enum RouterError {
    Lookup(LookupError),
    Environment(NulError),
}

impl fmt::Display for RouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(why) => why.fmt(f),
            Self::Environment(why) => write!(f, "its environment cannot be built: {why}"),
        }
    }
}

impl RouterPlan {
    /// For a router that runs as `user`; without one, as the daemon itself.
    pub(crate) fn new(
        user: Option<&Account>,
        log_level: LogLevel,
        log_format: LogFormat,
    ) -> Result<Self, RouterError> {
        let identity = user.map(identity_of).transpose().map_err(RouterError::Lookup)?;
        let level = level_argument(log_level);
        let format = format!("--log-format={}", log_format.name());
        let word = |text: &str| CString::new(text).map_err(RouterError::Environment);
        Ok(Self {
            program: [word("flying-passenger")?, word(ROUTER_ARGUMENT)?, word(&level)?, word(&format)?],
            environment: environment().map_err(RouterError::Environment)?,
            identity,
            user: user.map_or_else(own_name, |account| account.name.clone()),
            silence: heartbeat::limit(None),
        })
    }

    /// The same for routers that may be silent for as long as this.
    pub(crate) fn with_silence(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }

    /// The next router logs as much as this.
    pub(super) fn set_log_level(&mut self, level: LogLevel) {
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
                    leaves_by: None,
                    killed: None,
                })
            }
            Forked::Child => {
                // Only a failure comes back.
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
        // A session of its own: Ctrl-C in a terminal is for the supervisor.
        unistd::setsid()?;
        signals::reset()?;
        // For the log, to the supervisor; whoever sends it to every process of this name must not end the router.
        signals::ignore(Signal::SIGUSR1)?;
        originals.restore_oom_score()?;
        if let Some(identity) = &self.identity {
            identity::become_for_good(identity).map_err(io::Error::other)?;
        }
        prctl::set_no_new_privs()?;
        // After the change of user, which would cancel it.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if unistd::getppid() != supervisor {
            return Err(io::Error::other("the supervisor has just ended"));
        }
        let null = OwnedFd::from(std::fs::File::options().read(true).write(true).open("/dev/null")?);
        descriptors::place_for_exec(vec![null.try_clone()?, null, log, link.into_fd()])?;
        // The very program that runs here, even when its file has been replaced meanwhile.
        let Err(why) = unistd::execve(c"/proc/self/exe", &self.program, &self.environment);
        Err(why.into())
    }
}

/// To be called by a router as its first act: other processes of its user cannot look into it.
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

/// Nothing that the router does depends on the environment but the time zone of its log.
fn environment() -> Result<Vec<CString>, NulError> {
    const KEPT: [&str; 2] = ["TZ", "RUST_BACKTRACE"];
    let kept = KEPT.iter().filter_map(|name| std::env::var(name).ok().map(|value| format!("{name}={value}")));
    kept.map(CString::new).collect()
}

/// A router that runs.
#[derive(Debug)]
pub(crate) struct RouterProcess {
    child: Child,
    channel: Channel,
    /// What it logs.
    pub(crate) log: RouterLog,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    started: Instant,
    heartbeat: Heartbeat,
    leaves_by: Option<Instant>,
    killed: Option<Instant>,
}

/// A message that the link had no room for.
#[derive(Debug)]
struct Waiting {
    message: Encoded,
    descriptors: Vec<OwnedFd>,
    since: Instant,
}

impl RouterProcess {
    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn life(&self) -> Duration {
        self.started.elapsed()
    }

    /// Messages wait for room on the link.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// It has read most of what it was sent, so that it may order more.
    pub(super) fn reads(&self) -> bool {
        self.waiting.len() < MANY_UNREAD && self.waiting_bytes < MANY_UNREAD_BYTES
    }

    /// When to look after it again.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.killed {
            Some(_) => None,
            None => [self.stuck_at(), Some(self.heartbeat.due())].into_iter().flatten().min(),
        }
    }

    /// It has said something.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heartbeat.heard(now);
    }

    /// Sees whether it reads, exits and answers as it should; the error says what it does not.
    pub(super) fn look_after(&mut self, now: Instant) -> Result<HeartbeatAction, String> {
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

    /// Killed so long ago that it should have ended.
    pub(super) fn is_undead(&self, now: Instant) -> bool {
        self.killed.is_some_and(|at| at + self.heartbeat.limit() <= now)
    }

    /// When it is to be replaced, unless it reads or exits before.
    fn stuck_at(&self) -> Option<Instant> {
        let unread_until = self.waiting.front().map(|first| first.since + PATIENCE);
        [unread_until, self.leaves_by].into_iter().flatten().min()
    }

    /// It said that it is about to exit.
    pub(super) fn leaves(&mut self) {
        self.leaves_by.get_or_insert(Instant::now() + TIME_TO_LEAVE);
    }

    /// Sends a message, or keeps it until there is room. The error is the router's end, not the message's.
    pub(crate) fn tell(&mut self, notice: &Notice, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let message = Encoded::new(notice)?;
        if self.waiting.is_empty() {
            match self.channel.send_encoded(&message, descriptors) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
        if self.waiting.len() >= MOST_WAITING {
            return Err(io::Error::other("it leaves too many messages unread"));
        }
        let descriptors = descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect::<Result<_, _>>()?;
        self.waiting_bytes += message.len();
        self.waiting.push_back(Waiting { message, descriptors, since: Instant::now() });
        Ok(())
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn send_waiting(&mut self) -> io::Result<()> {
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

    /// Ends it at once; it is reaped like one that ended by itself.
    pub(crate) fn kill(&mut self) {
        if self.killed.is_some() {
            return;
        }
        self.killed = Some(Instant::now());
        if let Err(why) = self.child.signal(Signal::SIGKILL) {
            tracing::warn!("the router cannot be killed: {why}");
        }
    }
}
