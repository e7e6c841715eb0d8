//! Looks at apps' files on the router's behalf: its orders come in, stat workers are asked, and what they have seen is
//! followed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Supervisor;
use super::spawn::Inquiry;
use super::stat_workers::{Answer, Event, Question, WorkerId};
use crate::config::UserOptions;
use crate::link::{Notice, ProcessId, RestartFiles, SpawnSpec, Ticket, Trouble};

/// What is done after a look.
#[derive(Debug)]
pub(super) enum Purpose {
    /// The router is told of the restart files.
    Restart(Ticket),
    /// A process is started.
    Spawn(Ticket, Box<SpawnSpec>),
    /// A preloader is told to fork.
    Fork(Ticket, ForkOrder),
    /// These become the default user and group.
    Users(UserOptions),
}

/// A process that is to be forked.
#[derive(Debug)]
pub(super) struct ForkOrder {
    pub(super) preloader: ProcessId,
    /// When it has to be there.
    pub(super) due: Instant,
    pub(super) memo: Vec<u8>,
}

/// However long the router would wait for a process to be forked.
const LONGEST: Duration = Duration::from_secs(3600);

impl Supervisor {
    pub(super) fn look_at_restart_files(&mut self, ticket: Ticket, dir: PathBuf) {
        self.look(Question::RestartFiles(dir), Purpose::Restart(ticket));
    }

    pub(super) fn look_before_spawn(&mut self, ticket: Ticket, spec: Box<SpawnSpec>) {
        match Inquiry::about(&spec, &self.launcher) {
            Ok(inquiry) => self.look(Question::App(inquiry), Purpose::Spawn(ticket, spec)),
            Err(why) => self.not_spawned(ticket, &spec.group, why.to_string()),
        }
    }

    /// The settings may have changed since the preloader was started, or the owner of the startup file.
    pub(super) fn look_before_fork(
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
        match control.and_then(|control| Inquiry::about(&control.spec, launcher).ok()) {
            Some(inquiry) => self.look(Question::App(inquiry), Purpose::Fork(ticket, order)),
            None => self.fork(ticket, order, None),
        }
    }

    pub(super) fn look_at_users(&mut self, users: UserOptions) {
        let question = Question::Users(users.clone(), self.launcher.policy.clone());
        self.look(question, Purpose::Users(users));
    }

    fn look(&mut self, question: Question, purpose: Purpose) {
        let events = self.stat_workers.ask(question, purpose, Instant::now());
        self.follow_looks(events);
    }

    pub(super) fn hear_stat_worker(&mut self, id: WorkerId) {
        let events = self.stat_workers.hear(id, &mut self.buffer, Instant::now());
        self.follow_looks(events);
    }

    pub(super) fn stat_worker_ended(&mut self, id: WorkerId) {
        let events = self.stat_workers.ended(id, Instant::now());
        self.follow_looks(events);
    }

    pub(super) fn looks_due(&mut self, now: Instant) {
        if self.stat_workers.due().is_some_and(|due| due <= now) {
            let events = self.stat_workers.look_after(now);
            self.follow_looks(events);
        }
    }

    fn follow_looks(&mut self, events: Vec<Event<Purpose>>) {
        for event in events {
            match event {
                Event::Answered(purpose, answer) => self.carry_on(purpose, answer),
                Event::Hangs(question) => tracing::warn!("{}", question.silence()),
                Event::Recovered(dir) => tracing::info!("{} answers again", dir.display()),
            }
        }
        self.tell_what_hangs();
    }

    fn tell_what_hangs(&mut self) {
        let mut hanging = self.stat_workers.hanging().map(Question::silence);
        let one = hanging.next();
        let what = one.map(|one| match hanging.count() {
            0 => one,
            others => format!("{one}; {others} more do not answer"),
        });
        self.note_trouble(Trouble::Files, what.as_deref());
    }

    fn carry_on(&mut self, purpose: Purpose, answer: Result<Answer, String>) {
        let finding = |answer| match answer {
            Ok(Answer::App(finding)) => finding,
            Ok(_) => Err("something else was looked at".to_owned()),
            Err(why) => Err(why),
        };
        match purpose {
            Purpose::Restart(ticket) => {
                // What cannot be looked at is not there.
                let none = RestartFiles { restart_mtime: None, always: false };
                let found = if let Ok(Answer::RestartFiles(found)) = answer { found } else { none };
                self.tell_router(&Notice::RestartFiles { ticket, found }, &[]);
            }
            Purpose::Users(users) => {
                let checked = match answer {
                    Ok(Answer::Users(checked)) => checked,
                    Ok(_) => Err("something else was looked at".to_owned()),
                    Err(why) => Err(why),
                };
                self.users_checked(users, checked);
            }
            Purpose::Spawn(ticket, spec) => match finding(answer) {
                Ok(finding) => {
                    self.warn_of_users(&spec.group, &finding);
                    self.spawn(ticket, &spec, finding);
                }
                Err(why) => self.not_spawned(ticket, &spec.group, why),
            },
            Purpose::Fork(ticket, order) => self.fork(ticket, order, finding(answer).ok()),
        }
    }
}
