//! The supervisor as a whole: its parts, and the loop that waits for events and hands each to the part it concerns.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::unistd::Pid;

use super::hooks::Hooks;
use super::lifecycle::Lifecycle;
use super::lifecycle::phase::Event;
use super::log_file::LogFile;
use super::log_file::app_logs::AppLogs;
use super::nginx_socket::guard::{SocketEvent, SocketGuard};
use super::poll::{Poll, PollEvent};
use super::processes::Processes;
use super::router::RouterSupervision;
use super::spawn::{Context, Reply, Starts};
use super::stat_workers::StatWorkers;
use super::stat_workers::pending::PendingAction;
use common::config::Options;
use common::instance::Instance;
use common::link::{Notice, Problem, ProcessId};
use common::log::{self, writer};
use common::sys::process;

/// The supervisor.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) options: Options,
    pub(crate) life: Lifecycle,
    pub(crate) instance: Instance,
    pub(crate) log: LogFile,
    pub(crate) app_logs: AppLogs,
    pub(crate) nginx: SocketGuard,
    pub(crate) hooks: Hooks,
    pub(crate) router: RouterSupervision,
    pub(crate) stat_workers: StatWorkers<PendingAction>,
    pub(crate) starts: Starts,
    pub(crate) processes: Processes,
    /// Whether a child that is in no table may have ended.
    pub(crate) orphans: bool,
}

impl Supervisor {
    /// Handles events until the daemon has ended.
    pub(crate) fn run(&mut self) {
        while !self.life.shutdown.is_over() {
            if let Err(why) = self.wait_and_act() {
                tracing::error!(critical = true, "the supervisor cannot wait for events: {why}");
                self.kill_impatiently();
                return;
            }
        }
    }

    fn wait_and_act(&mut self) -> io::Result<()> {
        self.router.suspend_or_resume_orders(Instant::now());
        for event in self.wait(self.next_due())? {
            self.act(event)?;
        }
        for notice in self.processes.measure_some() {
            self.router.send(&notice, &[]);
        }
        self.act_when_due(Instant::now());
        // Shown in the status as long as the log cannot be written or hangs.
        self.router.set_problem(Problem::LogOutput, log::failure().as_deref());
        self.reap_orphans();
        self.starts.launcher.sweep_cgroups();
        self.check_alone();
        self.upgrade_when_quiet();
        Ok(())
    }

    /// Waits until `until`. Exits of processes come before messages of the router, so that no order is carried out on a
    /// process that has ended.
    fn wait(&self, until: Option<Instant>) -> io::Result<Vec<PollEvent>> {
        let (log_writer, socket) = (writer::watched(), self.nginx.socket.changes());
        let forks: Vec<_> = self.starts.forks.iter().collect();
        let workers: Vec<_> = self.stat_workers.iter().collect();
        let changes = self.stat_workers.changes.readable();
        let router = self.router.running();
        let router_log = router.and_then(|router| router.log.readable()).filter(|_| writer::wants_more());
        let mut poll = Poll::default();
        poll.readable(&self.life.signals, PollEvent::Signal);
        if let Some(socket) = &socket {
            poll.readable(socket, PollEvent::SocketChanged);
        }
        if let Some((writer, waits)) = &log_writer {
            poll.readable(writer, PollEvent::LogWriterAnswered);
            if *waits {
                poll.writable(writer, PollEvent::LogHasRoom);
            }
        }
        if let Some(exits) = self.processes.exits() {
            poll.readable(exits, PollEvent::ProcessesEnded);
        }
        for (process, child) in self.processes.apart() {
            poll.readable(child, PollEvent::ProcessEnded(process));
        }
        for (process, hello) in &forks {
            poll.readable(hello, PollEvent::ForkHello(*process));
        }
        for (id, answers, child) in &workers {
            if let Some(answers) = answers {
                poll.readable(answers, PollEvent::StatWorkerAnswered(*id));
            }
            poll.readable(*child, PollEvent::StatWorkerEnded(*id));
        }
        if let Some(changes) = &changes {
            poll.readable(changes, PollEvent::FilesChanged);
        }
        for (run, child) in self.hooks.running() {
            poll.readable(child, PollEvent::HookEnded(run));
        }
        for opener in &self.app_logs.openers {
            poll.readable(opener, PollEvent::AppLogOpened);
        }
        if let Some(router) = router {
            if router.has_waiting() {
                poll.writable(&router.channel, PollEvent::LinkHasRoom);
            }
            if let Some(log) = &router_log {
                poll.readable(log, PollEvent::RouterLogged);
            }
            if self.router.takes_orders() {
                poll.readable(&router.channel, PollEvent::RouterMessage);
            }
            poll.readable(&router.child, PollEvent::RouterEnded);
        }
        poll.wait(until)
    }

    fn act(&mut self, event: PollEvent) -> io::Result<()> {
        match event {
            PollEvent::Signal => self.read_signals(),
            PollEvent::ProcessesEnded => {
                for process in self.processes.ended()? {
                    self.process_ended(process);
                }
            }
            PollEvent::ProcessEnded(process) => self.process_ended(process),
            PollEvent::ForkHello(process) => self.receive_hellos(Some(process)),
            PollEvent::HookEnded(run) => {
                let finished = self.hooks.ended(run);
                self.programs_finished(finished);
            }
            PollEvent::StatWorkerAnswered(id) => {
                let events = self.stat_workers.receive(id, Instant::now());
                self.handle_checks(events);
            }
            PollEvent::StatWorkerEnded(id) => {
                let events = self.stat_workers.ended(id, Instant::now());
                self.handle_checks(events);
            }
            PollEvent::AppLogOpened => {
                self.app_logs.reap();
                self.open_app_logs();
            }
            PollEvent::FilesChanged => self.report_changes(),
            PollEvent::SocketChanged => self.check_socket(),
            PollEvent::LinkHasRoom => self.router.flush(),
            PollEvent::RouterLogged => {
                self.router.copy_log();
            }
            PollEvent::LogWriterAnswered => writer::read_answers(),
            PollEvent::LogHasRoom => writer::flush(),
            PollEvent::RouterMessage => self.read_orders(),
            PollEvent::RouterEnded => self.router_ended(),
        }
        Ok(())
    }

    /// Returns the earliest time at which something is due.
    fn next_due(&self) -> Option<Instant> {
        let dues = [
            writer::due(Instant::now()),
            self.router.due(),
            self.life.shutdown.due,
            self.life.upgrade.due(),
            self.life.manager.due(),
            self.processes.due(),
            self.starts.forks.due(),
            self.stat_workers.due(),
            self.stat_workers.changes.due(),
            self.hooks.next_due(),
            Some(self.nginx.due()),
        ];
        dues.into_iter().flatten().min()
    }

    fn act_when_due(&mut self, now: Instant) {
        self.processes.kill_overdue(now);
        let (starts, mut context) = self.starts();
        let replies = starts.give_up_overdue_forks(now, &mut context);
        self.reply(replies);
        self.stat_workers.changes.resume(now);
        let events = self.stat_workers.check(now);
        self.handle_checks(events);
        self.hooks.kill_overdue(now);
        if self.router.check(now) {
            self.start_router();
        }
        self.check_upgrade(now);
        self.life.manager.beat(now, self.router.is_under_control(now));
        if self.nginx.is_due(now) {
            self.check_socket();
        }
        if self.life.shutdown.due.is_some_and(|due| due <= now) {
            self.step(Event::TimeUp);
        }
    }

    /// Returns the part that starts processes, and the others that it changes.
    pub(crate) fn starts(&mut self) -> (&mut Starts, Context<'_>) {
        let serving = self.life.shutdown.is_serving();
        (&mut self.starts, Context { processes: &mut self.processes, instance: &self.instance, serving })
    }

    /// Sends answers to the router.
    pub(crate) fn reply(&mut self, replies: impl IntoIterator<Item = Reply>) {
        for Reply { notice, descriptors } in replies {
            let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            self.router.send(&notice, &descriptors);
        }
    }

    fn check_socket(&mut self) {
        let event = self.nginx.check(&self.options.socket, self.life.shutdown.is_serving());
        if let Some(SocketEvent::Restored) = event {
            self.router.send(&Notice::Socket, &[self.nginx.socket.as_fd()]);
            self.router.set_problem(Problem::Socket, None);
        } else if let Some(SocketEvent::Missing(what)) = event
            && self.router.set_problem(Problem::Socket, Some(&what))
        {
            tracing::error!("{what}");
        }
    }

    fn process_ended(&mut self, id: ProcessId) {
        let Some(ended) = self.processes.reap(id) else { return };
        self.starts.launcher.end_cgroup(ended.cgroup);
        if let Err(why) = self.instance.remove_app_socket(id) {
            tracing::warn!("the socket of an ended process cannot be removed: {why}");
        }
        if let Some(notice) = ended.notice {
            self.router.send(&notice, &[]);
        }
    }

    /// Receives the hello of a process that a preloader was ordered to fork, or those of all.
    fn receive_hellos(&mut self, process: Option<ProcessId>) {
        let known: Vec<Pid> = self.other_children().collect();
        let is_known = |pid| known.contains(&pid);
        let (starts, mut context) = self.starts();
        let replies = match process {
            Some(process) => starts.receive_hello(process, &mut context, is_known).into_iter().collect(),
            None => starts.receive_hellos(&mut context, is_known),
        };
        self.reply(replies);
    }

    /// Reaps orphans of apps, which become children of the supervisor.
    fn reap_orphans(&mut self) {
        while self.orphans {
            match process::ended_child() {
                Ok(Some(pid)) => {
                    // It may be a process that has just sent its hello and ended.
                    self.receive_hellos(None);
                    if self.processes.has_pid(pid) || self.other_children().any(|child| child == pid) {
                        // Its own event follows; after that it no longer hides others.
                        return;
                    }
                    self.reap_orphan(pid);
                }
                Ok(None) => self.orphans = false,
                Err(why) => {
                    tracing::warn!("cannot check for ended children: {why}");
                    self.orphans = false;
                }
            }
        }
    }

    fn reap_orphan(&mut self, pid: Pid) {
        match process::reap(pid) {
            Ok(()) => tracing::trace!("reaped {pid}, an orphan"),
            Err(why) => {
                tracing::warn!("{pid}, an orphan, cannot be reaped: {why}");
                self.orphans = false;
            }
        }
    }

    /// Returns the PIDs of the router, the hook programs, the stat workers and the processes that open log files.
    fn other_children(&self) -> impl Iterator<Item = Pid> {
        let router = self.router.running().map(|router| &router.child);
        let hooks = self.hooks.running().map(|(_, child)| child);
        let workers = self.stat_workers.iter().map(|(.., child)| child);
        let all = router.into_iter().chain(hooks).chain(workers).chain(&self.app_logs.openers);
        all.map(|child| child.pid())
    }
}
