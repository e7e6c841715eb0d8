//! Checks of apps' files on the router's behalf: an order starts a check by a stat worker and resumes with its answer.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::restart_files::Look;
use super::{Answer, Event, Question, WorkerId};
use crate::Supervisor;
use crate::router::log_limits::Topic;
use crate::spawn::{Precheck, Refusal};
use common::config::UserOptions;
use common::link::{Notice, ProcessId, SpawnSpec, Ticket, Trouble};

/// The action after a check.
#[derive(Debug)]
pub(crate) enum PendingAction {
    /// The restart files are reported to the router.
    Restart(Ticket, PathBuf),
    /// A process is started.
    Spawn(Ticket, Box<SpawnSpec>),
    /// A preloader is ordered to fork.
    Fork(Ticket, ForkOrder),
    /// These become the default user and group.
    Users(UserOptions),
}

impl PendingAction {
    /// Returns the memory that it takes while it waits, including its question.
    fn bytes(&self) -> usize {
        let own = match self {
            Self::Restart(_, dir) => 2 * dir.as_os_str().len(),
            Self::Spawn(_, spec) => bytes_of(spec),
            Self::Fork(_, order) => order.memo.len(),
            Self::Users(users) => {
                users.default_user.len() + users.default_group.as_ref().map_or(0, String::len)
            }
        };
        own + SMALLEST
    }
}

fn bytes_of(spec: &SpawnSpec) -> usize {
    let texts = [
        &spec.group,
        &spec.start_command,
        &spec.interpreter,
        &spec.settings.app_env,
        &spec.base_uri,
        &spec.server_software,
    ];
    let paths = [&spec.root, &spec.startup_file];
    let settings = &spec.settings;
    let names = [&settings.user, &settings.group, &settings.meteor_app_settings];
    let names = names.map(|name| name.as_ref().map_or(0, String::len));
    let variables = settings.env_var.iter().map(|(name, value)| name.len() + value.len() + VARIABLE);
    // The question contains the paths and names again.
    texts.map(String::len).iter().sum::<usize>()
        + 3 * paths.map(|path| path.as_os_str().len()).iter().sum::<usize>()
        + 2 * names.iter().sum::<usize>()
        + variables.sum::<usize>()
        + spec.memo.len()
}

/// A process that is to be forked.
#[derive(Debug)]
pub(crate) struct ForkOrder {
    pub(crate) preloader: ProcessId,
    /// When it must be forked.
    pub(crate) due: Instant,
    pub(crate) memo: Vec<u8>,
}

/// Longest time for a fork, even when the router would wait longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// Bytes of an order without content.
const SMALLEST: usize = 1024;
/// Bytes of a variable with an empty name and value.
const VARIABLE: usize = 96;
/// Most characters of a name or reason in a log line.
const LONGEST_NAME: usize = 1000;

impl Supervisor {
    pub(crate) fn check_restart_files(&mut self, ticket: Ticket, dir: PathBuf) {
        self.request_check(Question::RestartFiles(dir.clone()), PendingAction::Restart(ticket, dir));
    }

    pub(crate) fn check_before_spawn(&mut self, ticket: Ticket, spec: Box<SpawnSpec>) {
        match Precheck::about(&spec, &self.launcher) {
            Ok(precheck) => self.request_check(Question::App(precheck), PendingAction::Spawn(ticket, spec)),
            Err(why) => self.not_spawned(ticket, &spec.group, why.to_string()),
        }
    }

    /// Checks again, as the settings or the startup file's owner may have changed since the preloader was started.
    pub(crate) fn check_before_fork(
        &mut self,
        ticket: Ticket,
        preloader: ProcessId,
        within_ms: u64,
        memo: Vec<u8>,
    ) {
        let due = Instant::now() + Duration::from_millis(within_ms).min(LONGEST);
        let order = ForkOrder { preloader, due, memo };
        let control = self.processes.get_mut(preloader).and_then(|parent| parent.control());
        let launcher = &self.launcher;
        match control.and_then(|control| Precheck::about(&control.spec, launcher).ok()) {
            Some(precheck) => self.request_check(Question::App(precheck), PendingAction::Fork(ticket, order)),
            None => self.fork(ticket, order, None),
        }
    }

    pub(crate) fn check_users(&mut self, users: UserOptions) {
        let question = Question::Users(users.clone(), self.launcher.policy.clone());
        self.request_check(question, PendingAction::Users(users));
    }

    fn request_check(&mut self, question: Question, action: PendingAction) {
        let share = self.outstanding.take(action.bytes());
        let events = self.stat_workers.ask(question, action, share, Instant::now());
        self.handle_file_check_events(events);
    }

    pub(crate) fn hear_stat_worker(&mut self, id: WorkerId) {
        let events = self.stat_workers.hear(id, &mut self.buffer, Instant::now());
        self.handle_file_check_events(events);
    }

    pub(crate) fn stat_worker_ended(&mut self, id: WorkerId) {
        let events = self.stat_workers.ended(id, Instant::now());
        self.handle_file_check_events(events);
    }

    pub(crate) fn file_checks_due(&mut self, now: Instant) {
        if self.stat_workers.due().is_some_and(|due| due <= now) {
            let events = self.stat_workers.look_after(now);
            self.handle_file_check_events(events);
        }
    }

    fn handle_file_check_events(&mut self, events: Vec<Event<PendingAction>>) {
        for event in events {
            match event {
                Event::Answered(action, answer) => self.resume(action, answer),
                Event::Hangs(question) => tracing::warn!("{}", question.silence()),
                Event::Recovered(dir) => tracing::info!("{} answers again", dir.display()),
            }
        }
        self.report_hanging();
    }

    fn report_hanging(&mut self) {
        let mut hanging = self.stat_workers.hanging().map(Question::silence);
        let one = hanging.next();
        let what = one.map(|one| match hanging.count() {
            0 => one,
            others => format!("{one}; {others} more do not answer"),
        });
        self.note_trouble(Trouble::Files, what.as_deref());
    }

    fn resume(&mut self, action: PendingAction, answer: Result<Answer, String>) {
        let resolved = |answer| match answer {
            Ok(Answer::App(resolved)) => resolved,
            Ok(_) => Err(Refusal::told("something else was looked at".to_owned())),
            Err(why) => Err(Refusal::told(why)),
        };
        match action {
            PendingAction::Restart(ticket, dir) => {
                // What cannot be checked is treated as absent.
                let look = if let Ok(Answer::RestartFiles(look)) = answer { look } else { Look::default() };
                if look.withheld {
                    let dir = dir.display();
                    self.warn_once(
                        "restart files",
                        format!(
                            "those in {dir} have no effect, as only root can enter a directory above it: give {dir} to \
                             the user of the app, or make the directories above it accessible (chmod o+x)"
                        ),
                    );
                }
                self.tell_router(&Notice::RestartFiles { ticket, found: look.found }, &[]);
            }
            PendingAction::Users(users) => {
                let checked = match answer {
                    Ok(Answer::Users(checked)) => checked,
                    Ok(_) => Err("something else was looked at".to_owned()),
                    Err(why) => Err(why),
                };
                self.users_checked(users, checked);
            }
            PendingAction::Spawn(ticket, spec) => match resolved(answer) {
                Ok(resolved) => {
                    self.warn_of_users(&spec.group, &resolved);
                    self.spawn(ticket, &spec, resolved);
                }
                Err(Refusal { told, exact }) => {
                    if let Some(exact) = exact {
                        self.log_withheld(&spec.group, &format!("no process is started: {exact}"));
                    }
                    self.not_spawned(ticket, &spec.group, told);
                }
            },
            PendingAction::Fork(ticket, order) => self.fork(ticket, order, resolved(answer).ok()),
        }
    }

    /// Logs what is withheld from the router.
    fn log_withheld(&mut self, app: &str, what: &str) {
        if self.log_limits.admit(Topic::Withheld, Instant::now()) {
            tracing::warn!("{}: {}", shortened(app), shortened(what));
        }
    }
}

/// Shortens a text chosen by the router for the log.
pub(crate) fn shortened(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}
