//! The table of live app processes, with all state that the supervisor has of each.
//!
//! The router only names a [`ProcessId`]; PIDs are used only for processes in this table, and a process is removed from
//! it when it is reaped.

mod exits;
mod memory;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::cgroups::Cgroup;
use super::router::outstanding::Outstanding;
use super::spawn::{Control, Launched, Term};
use common::link::{Address, MAX_NATIVE, MAX_REVISION, Notice, ProcessId, ProcessRecord, StopHow, Ticket};
use common::sys::fd_handover::{HandoverReader, HandoverWriter};
use common::sys::process::Child;
use exits::Exits;
use memory::Measurements;

/// The stage of a process's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Not ready yet.
    Starting,
    /// It serves requests.
    Ready,
    /// It was asked to end.
    Stopping,
}

/// A live process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) record: ProcessRecord,
    pub(super) stage: Stage,
    /// The app group that it belongs to, for the log.
    pub(super) group: String,
    /// Kept open so that output is not lost, and the process is not harmed, when a router ends.
    pub(super) output: OwnedFd,
    /// Whether the current router knows of it.
    pub(super) announced: bool,
    /// Readable when it has ended.
    pub(super) child: Child,
    owner: Option<OwnedFd>,
    term: Term,
    control: Option<Control>,
    cgroup: Option<Cgroup>,
}

impl Process {
    /// Returns a process that was just started, and its report pipe, which is the router's.
    pub(super) fn new(launched: Launched, group: String) -> (Self, OwnedFd) {
        let Launched { child, record, pipes, term, control, cgroup } = launched;
        let process = Self {
            record,
            stage: Stage::Starting,
            group,
            output: pipes.output,
            announced: false,
            child,
            owner: Some(pipes.owner),
            term,
            control,
            cgroup,
        };
        (process, pipes.report)
    }

    /// Whether it serves requests.
    pub(super) fn serves(&self) -> bool {
        self.stage == Stage::Ready && !self.is_preloader()
    }

    /// Whether it is a preloader: it serves no request, others are forked from it.
    pub(super) fn is_preloader(&self) -> bool {
        self.control.is_some()
    }

    /// Returns what it is forked with, when it is a preloader.
    pub(super) fn control(&self) -> Option<&Control> {
        self.control.as_ref()
    }

    /// Kills it, or asks it to end.
    pub(super) fn stop(&mut self, how: StopHow) {
        self.stage = Stage::Stopping;
        self.owner = None;
        let signalled = match (how, self.term) {
            (StopHow::Kill, _) => self.child.signal_group(Signal::SIGKILL),
            (StopHow::Gracefully, Term::None) => Ok(()),
            (StopHow::Gracefully, Term::Process) => self.child.signal(Signal::SIGTERM),
            (StopHow::Gracefully, Term::Group) => self.child.signal_group(Signal::SIGTERM),
            (StopHow::Gracefully, Term::Interrupt) => self.child.signal_group(Signal::SIGINT),
        };
        if let (StopHow::Kill, Some(cgroup)) = (how, &self.cgroup) {
            cgroup.kill();
        }
        if let Err(why) = signalled {
            tracing::warn!("{} cannot be signalled: {why}", self.name());
        }
    }

    /// Returns its name for the log.
    pub(super) fn name(&self) -> String {
        let what = if self.is_preloader() { "preloader" } else { "process" };
        format!("{what} {} of {}", self.record.pid, self.group)
    }

    /// Reaps it, and returns how it ended, if it has.
    fn try_reap(&self) -> io::Result<Option<String>> {
        let Some(end) = self.child.try_reap()? else { return Ok(None) };
        let how = end.to_string();
        let out_of_memory = self.cgroup.as_ref().is_some_and(Cgroup::was_out_of_memory);
        let why = if out_of_memory { ": it exceeded its passenger_cgroup_memory_max" } else { "" };
        Ok(Some(how + why))
    }

    /// Kills it, which is logged as `why`.
    fn kill(&mut self, why: &str) {
        tracing::warn!("{} {why}", self.name());
        self.stop(StopHow::Kill);
    }

    fn pack(&self, writer: &mut HandoverWriter, kill_in: Option<Duration>) -> io::Result<PackedProcess> {
        Ok(PackedProcess {
            record: self.record.clone(),
            stage: self.stage,
            group: self.group.clone(),
            output: writer.pack(&self.output)?,
            owner: self.owner.as_ref().map(|owner| writer.pack(owner)).transpose()?,
            term: self.term,
            cgroup: self.cgroup.clone(),
            kill_in_ms: kill_in.and_then(|left| u64::try_from(left.as_millis()).ok()),
        })
    }

    /// Fails with `NotFound` when it is not a child of this process.
    fn unpack(packed: PackedProcess, reader: &mut HandoverReader) -> io::Result<Self> {
        Ok(Self {
            child: Child::adopt(Pid::from_raw(packed.record.pid))?,
            output: reader.take(packed.output)?,
            owner: packed.owner.map(|owner| reader.take(owner)).transpose()?,
            record: packed.record,
            stage: packed.stage,
            group: packed.group,
            announced: false,
            term: packed.term,
            // Preloaders end with their router: only that router knows what their code is for.
            control: None,
            cgroup: packed.cgroup,
        })
    }
}

/// What the next program in this process needs to know of an app process, which remains its child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackedProcess {
    record: ProcessRecord,
    stage: Stage,
    group: String,
    output: RawFd,
    owner: Option<RawFd>,
    term: Term,
    cgroup: Option<Cgroup>,
    /// Milliseconds until it is killed.
    kill_in_ms: Option<u64>,
}

/// All live app processes.
#[derive(Debug, Default)]
pub(super) struct Processes {
    table: BTreeMap<ProcessId, Process>,
    /// Which of them have ended.
    exits: Exits,
    /// When these are killed, as no router is left to do so.
    kills: BTreeMap<ProcessId, Instant>,
    last: u64,
    measurements: Measurements,
}

/// A process that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its control group, which must be ended with it.
    pub(super) cgroup: Option<Cgroup>,
    /// The notice for a router that knows of it.
    pub(super) notice: Option<Notice>,
}

impl Processes {
    /// Packs the last assigned ID and all live processes for the next program.
    pub(super) fn pack(&self, writer: &mut HandoverWriter) -> io::Result<(u64, Vec<PackedProcess>)> {
        let now = Instant::now();
        let kill_in = |id| self.kills.get(id).map(|due| due.saturating_duration_since(now));
        let packed: io::Result<_> =
            self.table.iter().map(|(id, process)| process.pack(writer, kill_in(id))).collect();
        Ok((self.last, packed?))
    }

    /// Restores the processes of the previous program.
    pub(super) fn unpack(
        last: u64,
        packed: Vec<PackedProcess>,
        reader: &mut HandoverReader,
    ) -> io::Result<Self> {
        let (now, mut processes) = (Instant::now(), Self { last, ..Self::default() });
        for one in packed {
            let kill_at = one.kill_in_ms.map(|ms| now + Duration::from_millis(ms));
            processes.kills.extend(kill_at.map(|due| (one.record.process, due)));
            processes.insert(Process::unpack(one, reader)?);
        }
        Ok(processes)
    }

    /// Returns an ID that no process ever had.
    pub(super) fn new_id(&mut self) -> ProcessId {
        self.last += 1;
        ProcessId(self.last)
    }

    pub(super) fn insert(&mut self, process: Process) {
        self.exits.add(process.record.process, &process.child);
        self.table.insert(process.record.process, process);
    }

    /// Returns the descriptor that is readable when one of [`ended`](Self::ended) is there.
    pub(super) fn exits(&self) -> Option<&impl AsFd> {
        self.exits.readable()
    }

    /// Returns those whose descriptor must be waited for by itself.
    pub(super) fn apart(&self) -> impl Iterator<Item = (ProcessId, &Child)> {
        self.exits.apart().filter_map(|id| Some((id, &self.table.get(&id)?.child)))
    }

    /// Returns those that have ended and are not reaped yet.
    pub(super) fn ended(&self) -> io::Result<Vec<ProcessId>> {
        self.exits.ended()
    }

    pub(super) fn get(&self, process: ProcessId) -> Option<&Process> {
        self.table.get(&process)
    }

    pub(super) fn get_mut(&mut self, process: ProcessId) -> Option<&mut Process> {
        self.table.get_mut(&process)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.table.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.table.values_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether a live process was assigned this port.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.iter().any(|process| process.record.address == Address::Tcp(port))
    }

    /// Whether a live process has this PID.
    pub(super) fn has_pid(&self, pid: Pid) -> bool {
        self.iter().any(|process| process.child.pid() == pid)
    }

    /// Kills a process, or asks it to end. One that is not in the table has ended.
    pub(super) fn stop(&mut self, process: ProcessId, how: StopHow) {
        if let Some(process) = self.get_mut(process) {
            process.stop(how);
        }
    }

    /// Records that a process serves requests, or can be forked, unless it is being stopped.
    pub(super) fn mark_ready(
        &mut self,
        process: ProcessId,
        max_concurrent: Option<u32>,
        revision: Option<String>,
        native: Option<String>,
    ) {
        if let Some(process) = self.get_mut(process).filter(|process| process.stage == Stage::Starting) {
            process.stage = Stage::Ready;
            process.record.max_concurrent = max_concurrent;
            // It is displayed, and a router may send anything.
            process.record.revision = revision.filter(|revision| revision.len() <= MAX_REVISION);
            process.record.native = native.filter(|native| native.len() <= MAX_NATIVE + 1);
        }
    }

    /// Removes and reaps a process that has ended.
    pub(super) fn reap(&mut self, id: ProcessId) -> Option<Ended> {
        let process = self.table.get(&id)?;
        let how = match process.try_reap() {
            Ok(Some(how)) => how,
            Ok(None) => return None,
            Err(why) => format!("ended, and its status cannot be read: {why}"),
        };
        match process.stage {
            Stage::Stopping => tracing::debug!("{} {how}", process.name()),
            Stage::Starting | Stage::Ready => tracing::warn!("{} {how}", process.name()),
        }
        let process = self.table.remove(&id)?;
        self.exits.remove(id, &process.child);
        self.kills.remove(&id);
        let notice = process.announced.then_some(Notice::Exited { process: id, how });
        Some(Ended { cgroup: process.cgroup, notice })
    }

    /// Returns the next time at which a process is to be killed or measured.
    pub(super) fn due(&self) -> Option<Instant> {
        let kill = self.kills.values().min().copied();
        kill.into_iter().chain(self.measurements.due()).min()
    }

    pub(super) fn kill_overdue(&mut self, now: Instant) {
        let due = self.kills.iter().filter(|(_, due)| **due <= now);
        let overdue: Vec<ProcessId> = due.map(|(id, _)| *id).collect();
        for id in overdue {
            self.kills.remove(&id);
            if let Some(process) = self.table.get_mut(&id) {
                process.kill("does not exit and is killed");
            }
        }
    }

    /// Asks all processes to end.
    pub(super) fn stop_all(&mut self) {
        let left = self.iter_mut().filter(|process| process.stage != Stage::Stopping);
        left.for_each(|process| process.stop(StopHow::Gracefully));
    }

    pub(super) fn kill_all(&mut self) {
        self.iter_mut().for_each(|process| process.kill("has not ended in time and is killed"));
    }

    /// Ends processes that only the router that has just ended could continue to use, including preloaders: the next
    /// router cannot know whether their code is still current. The rest waits for the next router.
    pub(super) fn orphan(&mut self, kill_at: Instant) {
        self.measurements = Measurements::default();
        for (id, process) in &mut self.table {
            process.announced = false;
            match process.stage {
                Stage::Starting => process.kill("was not ready and ends with its router"),
                Stage::Ready if process.is_preloader() => {
                    process.stop(StopHow::Gracefully);
                    self.kills.insert(*id, kill_at);
                }
                Stage::Ready => {}
                Stage::Stopping => drop(self.kills.insert(*id, kill_at)),
            }
        }
    }

    /// Starts to measure the memory of processes, each of them once even if it is listed again.
    pub(super) fn measure(&mut self, ticket: Ticket, mut wanted: Vec<ProcessId>, outstanding: &Outstanding) {
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|id| self.table.contains_key(id));
        self.measurements.add(ticket, wanted, outstanding);
    }

    /// Measures for a limited time. Returns the completed measurements.
    pub(super) fn measure_some(&mut self) -> Vec<Notice> {
        self.measurements.proceed(|id| self.table.get(&id).map(|process| process.record.pid))
    }
}
