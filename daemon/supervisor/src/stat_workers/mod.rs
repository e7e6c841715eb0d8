//! Helper processes that check apps' files and look up users, because either may block; a question without an answer in
//! time is reported as such. The supervisor itself does neither.
//!
//! One worker is enough while questions are answered. A worker that hangs is left alone, and meanwhile its question is
//! known to have no answer; another worker takes the next question.

mod changes;
mod question;
mod watches;
mod worker;

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::router::outstanding::Share;
use changes::Changes;
use common::link::channel::Buffer;
use common::sys::process::Child;
pub(super) use question::{Answer, Question};
pub(super) use restart_files::withheld;
use worker::{Work, Worker};

/// How long a worker may take before another one takes the waiting questions.
const SLOW: Duration = Duration::from_millis(100);
/// How long all workers may take to end. Only the kernel can delay one.
const AFTER_KILL: Duration = Duration::from_millis(200);
/// Most workers, each with a question that hangs.
const MAX_WORKERS: usize = 64;
/// Most workers that wait for the next question.
const MAX_IDLE: usize = 1;

/// Identifies a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WorkerId(u64);

/// An event of the workers.
#[derive(Debug)]
pub(crate) enum Event<P> {
    /// The question asked for this is answered, or there is a reason why not.
    Answered(P, Result<Answer, String>),
    /// This question has no answer in time.
    Hangs(Question),
    /// A check in this directory has succeeded after all.
    Recovered(PathBuf),
}

#[derive(Debug)]
struct Task<P> {
    question: Question,
    /// Empty when no caller waits for the answer any longer.
    actions: Vec<(P, Share)>,
    since: Instant,
}

impl<P> Task<P> {
    /// Returns when the question is given up.
    fn times_out_at(&self) -> Instant {
        self.since + self.question.timeout()
    }

    fn is_slow(&self, now: Instant) -> bool {
        self.since + SLOW <= now
    }

    fn answer(&mut self, answer: &Result<Answer, String>) -> Vec<Event<P>> {
        self.actions.drain(..).map(|(action, _)| Event::Answered(action, answer.clone())).collect()
    }

    fn give_up(&mut self) -> Vec<Event<P>> {
        self.answer(&Err(self.question.timeout_message()))
    }
}

#[derive(Debug)]
struct WorkerSlot<P, W> {
    id: WorkerId,
    worker: W,
    task: Option<Task<P>>,
    /// Whether its question was given up.
    hangs: bool,
}

/// All workers, and the questions that wait for one. `P` is what a question is asked for.
#[derive(Debug)]
pub(super) struct StatWorkers<P, W = Worker> {
    slots: Vec<WorkerSlot<P, W>>,
    waiting: VecDeque<Task<P>>,
    last: u64,
    buffer: Buffer,
    /// What the checks of restart files watch.
    pub(super) changes: Changes,
}

impl<P, W> Default for StatWorkers<P, W> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            waiting: VecDeque::new(),
            last: 0,
            buffer: Buffer::default(),
            changes: Changes::default(),
        }
    }
}

impl<P, W: Work> StatWorkers<P, W> {
    /// Asks a question. One that is known to hang is answered immediately.
    pub(super) fn ask(&mut self, question: Question, action: P, share: Share, now: Instant) -> Vec<Event<P>> {
        self.waiting.push_back(Task { question, actions: vec![(action, share)], since: now });
        self.assign(now)
    }

    /// Describes the questions that are known to have no answer, if there are any.
    pub(super) fn problem(&self) -> Option<String> {
        let hang = self.slots.iter().filter(|slot| slot.hangs);
        let mut hanging = hang.filter_map(|slot| Some(slot.task.as_ref()?.question.timeout_message()));
        let one = hanging.next()?;
        Some(match hanging.count() {
            0 => one,
            others => format!("{one}; {others} more do not answer"),
        })
    }

    /// Drops all actions: no caller waits for an answer any longer.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.slots.iter_mut().filter_map(|slot| slot.task.as_mut()).for_each(|task| task.actions.clear());
    }

    /// Receives the answer of a worker, if there is one.
    pub(super) fn receive(&mut self, id: WorkerId, now: Instant) -> Vec<Event<P>> {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) else { return Vec::new() };
        let Some(answer) = slot.worker.receive(&mut self.buffer) else { return Vec::new() };
        let mut events = slot.finish(&Ok(answer));
        events.extend(self.assign(now));
        self.dismiss_idle();
        events
    }

    /// Removes a worker, if it has ended; its question fails, as a worker with a question is never dismissed.
    pub(super) fn ended(&mut self, id: WorkerId, now: Instant) -> Vec<Event<P>> {
        let Some(at) = self.slots.iter().position(|slot| slot.id == id) else { return Vec::new() };
        if !self.slots[at].worker.has_ended() {
            return Vec::new();
        }
        let mut slot = self.slots.swap_remove(at);
        let mut events = slot.finish(&Err("the stat worker has ended".to_owned()));
        events.extend(self.assign(now));
        events
    }

    /// Returns the next time at which [`check`](Self::check) must be called without an event.
    pub(super) fn due(&self) -> Option<Instant> {
        let asked = self.slots.iter().filter(|slot| !slot.hangs).filter_map(|slot| slot.task.as_ref());
        let given_up = asked.clone().chain(&self.waiting).map(Task::times_out_at).min();
        let helped = asked.map(|task| task.since + SLOW).max().filter(|_| !self.waiting.is_empty());
        [given_up, helped].into_iter().flatten().min()
    }

    /// Does what is due: gives up the questions that are late, and assigns waiting ones to another worker where one is slow.
    pub(super) fn check(&mut self, now: Instant) -> Vec<Event<P>> {
        if self.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let has_timed_out = |task: &Task<P>| task.times_out_at() <= now;
        let mut events = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| !slot.hangs) {
            if let Some(task) = slot.task.as_mut().filter(|task| has_timed_out(task)) {
                slot.hangs = true;
                events.push(Event::Hangs(task.question.clone()));
                events.extend(task.give_up());
            }
        }
        let (mut late, waiting): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(has_timed_out);
        self.waiting = waiting.into();
        events.extend(late.iter_mut().flat_map(Task::give_up));
        events.extend(self.assign(now));
        events
    }

    /// Assigns waiting questions to workers; starts another worker when all are slow.
    fn assign(&mut self, now: Instant) -> Vec<Event<P>> {
        let mut events = Vec::new();
        while let Some(mut task) = self.waiting.pop_front() {
            if let Some(slot) = self.slow_at(&task.question, now) {
                events.extend(slot.join(task));
                continue;
            }
            let at = match self.free(now) {
                Ok(Some(at)) => at,
                Ok(None) => {
                    self.waiting.push_front(task);
                    break;
                }
                Err(why) => {
                    events.extend(task.answer(&Err(why)));
                    continue;
                }
            };
            // The time limit begins with the check; a worker that cannot be asked has ended, which is detected soon.
            let inotify = if task.question.watches() { self.changes.instance() } else { None };
            let slot = &mut self.slots[at];
            let asked = slot.worker.ask(&task.question, inotify);
            slot.task = Some(Task { since: now, ..task });
            if let Err(why) = asked {
                slot.worker.dismiss();
                events.extend(slot.finish(&Err(format!("cannot ask a stat worker: {why}"))));
            }
        }
        events
    }

    /// Returns the worker that is slow with this same question.
    fn slow_at(&mut self, question: &Question, now: Instant) -> Option<&mut WorkerSlot<P, W>> {
        let is_same = |task: &Task<P>| task.is_slow(now) && task.question == *question;
        self.slots.iter_mut().find(|slot| slot.task.as_ref().is_some_and(is_same))
    }

    /// Returns the position of a worker without a task; `None` when one will soon be available.
    fn free(&mut self, now: Instant) -> Result<Option<usize>, String> {
        let is_free = |slot: &WorkerSlot<P, W>| slot.task.is_none() && slot.worker.accepts_questions();
        if let Some(at) = self.slots.iter().position(is_free) {
            return Ok(Some(at));
        }
        let mut tasks = self.slots.iter().filter_map(|slot| slot.task.as_ref());
        if self.slots.len() >= MAX_WORKERS || tasks.any(|task| !task.is_slow(now)) {
            return Ok(None);
        }
        let worker = W::start().map_err(|why| format!("cannot start a stat worker: {why}"))?;
        self.last += 1;
        self.slots.push(WorkerSlot { id: WorkerId(self.last), worker, task: None, hangs: false });
        Ok(Some(self.slots.len() - 1))
    }

    fn dismiss_idle(&mut self) {
        let idle = self.slots.iter_mut().filter(|slot| slot.task.is_none());
        idle.skip(MAX_IDLE).for_each(|slot| slot.worker.dismiss());
    }
}

impl<P> StatWorkers<P> {
    /// Returns the channel and the process of each worker.
    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, Option<BorrowedFd<'_>>, &Child)> {
        self.slots.iter().map(|slot| (slot.id, slot.worker.fd(), slot.worker.child()))
    }

    /// Ends all workers. Those that hang are left to the kernel.
    pub(super) fn end(&self) {
        self.slots.iter().for_each(|slot| slot.worker.kill());
        let until = Instant::now() + AFTER_KILL;
        self.slots.iter().for_each(|slot| slot.worker.child().reap_until(until));
    }
}

impl<P, W> WorkerSlot<P, W> {
    /// Adds the actions of another task with the same question.
    fn join(&mut self, mut other: Task<P>) -> Vec<Event<P>> {
        match &mut self.task {
            Some(task) if !self.hangs => {
                task.actions.append(&mut other.actions);
                Vec::new()
            }
            _ => other.give_up(),
        }
    }

    /// Ends its task, which is answered or never will be.
    fn finish(&mut self, answer: &Result<Answer, String>) -> Vec<Event<P>> {
        let Some(mut task) = self.task.take() else { return Vec::new() };
        let hung = std::mem::take(&mut self.hangs);
        let recovered = (hung && answer.is_ok()).then(|| Event::Recovered(task.question.dir().to_path_buf()));
        recovered.into_iter().chain(task.answer(answer)).collect()
    }
}

pub(crate) mod pending;
pub(crate) mod restart_files;
#[cfg(test)]
mod tests;
