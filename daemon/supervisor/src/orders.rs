//! What the router requests: its orders, and what follows from the checks of stat workers.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::unistd::Uid;

use super::event_loop::Supervisor;
use super::hooks;
use super::lifecycle::phase::Event;
use super::lifecycle::rlimits::log_open_files;
use super::log_file::{self, Followed};
use super::processes::Stage;
use super::router::log_limits::Topic;
use super::router::options::{bounded_pool, is_possible_limit};
use super::router::{Received, shortened};
use super::spawn::{ForkOrder, Refusal, Reply, ResolvedApp};
use super::stat_workers::pending::PendingAction;
use super::stat_workers::{self, Answer, Question};
use common::config::UserOptions;
use common::config::shared::Values;
use common::link::{
    Address, Incident, Notice, Order, Problem, ProcessId, SpawnSpec, StopHow, SupervisorOptions, Ticket,
};
use common::log;

/// Maximum number of orders carried out before signals and exits are handled again.
const ORDERS_AT_A_TIME: usize = 64;
/// Maximum time for them.
const TIME_AT_A_TIME: Duration = Duration::from_millis(10);

/// Orders.
impl Supervisor {
    /// Reads and carries out the router's orders. No order ends the supervisor.
    pub(crate) fn read_orders(&mut self) {
        let until = Instant::now() + TIME_AT_A_TIME;
        for _ in 0..ORDERS_AT_A_TIME {
            if !self.router.takes_orders() || Instant::now() >= until {
                return;
            }
            match self.router.receive() {
                Received::Order(order) => self.carry_out(order),
                Received::Refused => {}
                Received::Nothing => return,
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Spawn { ticket, spec } => self.check_before_spawn(ticket, spec),
            Order::Fork { ticket, preloader, within_ms, handover_data } => {
                self.check_before_fork(ticket, ForkOrder::new(preloader, within_ms, handover_data));
            }
            Order::MarkReady { process, max_concurrent, revision, native } => {
                self.processes.mark_ready(process, max_concurrent, revision, native);
            }
            Order::Admit(process) => self.admit_router(process),
            // The notice that it has ended is on its way if it is not in the table.
            Order::Stop(process, how) => self.processes.stop(process, how),
            Order::CheckRestartFiles { ticket, dir } => {
                self.check(Question::RestartFiles(dir.clone()), PendingAction::Restart(ticket, dir));
            }
            Order::Measure { ticket, processes } => {
                self.processes.measure(ticket, processes, &self.router.outstanding);
            }
            Order::ApplyOptions(options) => self.apply_options(*options),
            Order::Happened(incident) => self.run_hooks(incident),
            Order::SetAppMode { app, mode } => self.router.keep_app_mode(app, mode),
            Order::OpenAppLog { ticket, process, path } => {
                if self.app_logs.request(ticket, process, path, &self.router.outstanding) {
                    self.open_app_logs();
                } else {
                    self.router.send(&Notice::AppLog { ticket }, &[]);
                }
            }
            Order::ReopenLog { ticket } => {
                let failure = self.reopen_log().err();
                self.router.send(&Notice::LogReopened { ticket, failure }, &[]);
            }
            // Its arrival is enough.
            Order::Pong => {}
            Order::Finished => self.router_finished(),
        }
    }

    fn admit_router(&mut self, process: ProcessId) {
        let Some(record) = self.processes.get_mut(process).map(|process| &process.record) else { return };
        if !matches!(record.address, Address::Own(_)) {
            return;
        }
        if let Err(why) = self.instance.admit_router(process, Uid::from_raw(record.user.uid)) {
            tracing::debug!("cannot let the router connect to the socket of process {}: {why}", record.pid);
        }
    }

    /// Starts to open log files of apps.
    pub(crate) fn open_app_logs(&mut self) {
        let user_of = |process| Some(self.processes.get(process)?.record.user.clone());
        while let Some(opening) = self.app_logs.open_next(user_of) {
            let notice = Notice::AppLog { ticket: opening.ticket };
            match opening.answer {
                Ok(answer) => self.router.send(&notice, &[answer.as_fd()]),
                Err(why) => {
                    if self.router.may_log(Topic::AppLogs) {
                        let path = opening.path.display();
                        tracing::warn!("cannot open the log file {path} of an app: {why}");
                    }
                    self.router.send(&notice, &[]);
                }
            }
        }
    }

    /// Runs the operator's programs for an incident of an app.
    fn run_hooks(&mut self, incident: Incident) {
        if incident.hook.is_of_the_daemon() {
            if self.router.may_log(Topic::Refused) {
                tracing::error!(
                    "router requested hook {}, which only the supervisor may trigger",
                    incident.hook.name()
                );
            }
            return;
        }
        let process = hooks::kill_afterwards(&incident);
        let runs = self.life.shutdown.is_serving() && self.hooks.begin(incident);
        match process {
            // The process stays as it is for the programs to inspect, and no later router may consider it usable.
            Some(process) if runs => {
                if let Some(process) = self.processes.get_mut(process) {
                    process.stage = Stage::Stopping;
                }
            }
            Some(process) => self.processes.stop(process, StopHow::Kill),
            None => {}
        }
    }

    fn router_finished(&mut self) {
        if self.life.shutdown.is_serving() && !self.life.upgrade.is_in_progress() {
            tracing::error!("the router reports that it has finished, which was not requested");
        }
        self.router.note_finished();
        self.step(Event::RouterGone);
    }
}

/// Options of nginx's configuration that affect the supervisor. The router is not trusted with root's rights: it may set
/// a default user, which an app may request anyway, but never root.
impl Supervisor {
    fn apply_options(&mut self, options: SupervisorOptions) {
        self.router.kept.globals = options.globals;
        self.router.kept.app_prefix = options.app_prefix;
        self.router.kept.overridden.clear();
        self.starts.max_pool_size = bounded_pool(&self.options.shared, options.max_pool_size);
        self.set_log_file(&options.log_file);
        if let Err(why) = self.nginx.socket.set_backlog(options.socket_backlog) {
            tracing::warn!("cannot change the backlog of the socket for nginx: {why}");
        }
        self.set_open_files(options.open_files);
        match options.log_level.parse() {
            Ok(level) => {
                self.options.log_level = level;
                self.router.plan.set_log_level(level);
                log::set_level(level);
            }
            Err(why) => {
                tracing::warn!("invalid value \"{}\" in \"passenger_log_level\": {why}", options.log_level)
            }
        }
        let users = UserOptions {
            switching: options.user_switching,
            default_user: options.default_user,
            default_group: Some(options.default_group).filter(|name| !name.is_empty()),
        };
        if self.starts.set_users(users.clone()) {
            let question = Question::Users(users.clone(), self.starts.launcher.policy.clone());
            self.check(question, PendingAction::Users(users));
        }
        self.send_overridden();
    }

    fn send_overridden(&mut self) {
        let overridden = self.router.kept.overridden.clone();
        if !overridden.is_empty() {
            self.router.send(&Notice::Overridden(overridden), &[]);
        }
    }

    /// Applies the log file of the daemon's own option or, without one, of nginx; empty without either.
    fn set_log_file(&mut self, path: &str) {
        let is_own = Values(&self.options.shared).given(log_file::NAME);
        match self.log.follow(path, is_own) {
            Followed::Unchanged => {}
            Followed::Switched => drop(self.router.set_problem(Problem::LogFile, None)),
            Followed::Refused(problem) => {
                if problem.is_some() {
                    self.router.set_problem(Problem::LogFile, problem.as_deref());
                }
                self.router.set_overridden(log_file::NAME, self.log.path());
            }
        }
    }

    /// Reopens the log after it was renamed; the error says why it continues in the old file.
    pub(crate) fn reopen_log(&mut self) -> Result<(), String> {
        self.router.send(&Notice::ReopenAppLogs, &[]);
        let Some(reopened) = self.log.reopen() else { return Ok(()) };
        self.router.set_problem(Problem::LogFile, reopened.as_ref().err().map(String::as_str));
        reopened
    }

    /// Applies to this process and its router; apps get the limit with which the daemon was started.
    fn set_open_files(&mut self, wanted: u64) {
        if wanted == self.life.open_files || !is_possible_limit(wanted) {
            return;
        }
        self.life.open_files = wanted;
        let reached = self.starts.launcher.originals.limit_open_files(wanted);
        if let Ok(limit) = &reached {
            self.router.limit_open_files(*limit);
        }
        log_open_files(wanted, reached.map(|limit| limit.soft));
    }

    /// Applies nginx's default user and group if they can be used.
    fn users_checked(&mut self, users: UserOptions, checked: Result<(), String>) {
        if let Err((why, in_effect)) = self.starts.apply_users(users, checked) {
            tracing::warn!("ignoring the default user and group of nginx's configuration: {why}");
            self.router.set_overridden("default_user", in_effect.default_user);
            self.router.set_overridden("default_group", in_effect.default_group.unwrap_or_default());
            self.send_overridden();
        }
    }
}

/// Checks by stat workers, and what follows from them.
impl Supervisor {
    fn check_before_spawn(&mut self, ticket: Ticket, spec: Box<SpawnSpec>) {
        match self.starts.precheck(&spec) {
            Ok(precheck) => self.check(Question::App(Box::new(precheck)), PendingAction::Spawn(ticket, spec)),
            Err(why) => self.reply([Reply::not_spawned(ticket, &spec.group, why)]),
        }
    }

    fn check_before_fork(&mut self, ticket: Ticket, order: ForkOrder) {
        match self.starts.precheck_fork(&order, &mut self.processes) {
            Some(precheck) => {
                self.check(Question::App(Box::new(precheck)), PendingAction::Fork(ticket, order))
            }
            None => self.fork(ticket, order, None),
        }
    }

    fn check(&mut self, question: Question, action: PendingAction) {
        let share = self.router.outstanding.take(action.bytes());
        let events = self.stat_workers.ask(question, action, share, Instant::now());
        self.handle_checks(events);
    }

    /// Reports the directories whose restart files may have changed to the router, which has them checked.
    pub(crate) fn report_changes(&mut self) {
        let changed = self.stat_workers.changes.read(Instant::now());
        for dir in changed.dirs {
            self.router.send(&Notice::RestartFilesChanged { dir }, &[]);
        }
        for dir in changed.replaced {
            self.check(Question::RestartFiles(dir.clone()), PendingAction::Recheck(dir));
        }
        self.unwatch(changed.unwanted);
    }

    fn unwatch(&mut self, watches: Vec<i32>) {
        if !watches.is_empty() {
            self.check(Question::Unwatch(watches), PendingAction::Unwatch);
        }
    }

    pub(crate) fn handle_checks(&mut self, events: Vec<stat_workers::Event<PendingAction>>) {
        for event in events {
            match event {
                stat_workers::Event::Answered(action, answer) => self.proceed(action, answer),
                stat_workers::Event::Hangs(question) => tracing::warn!("{}", question.timeout_message()),
                stat_workers::Event::Recovered(dir) => tracing::info!("{} answers again", dir.display()),
            }
        }
        self.router.set_problem(Problem::Files, self.stat_workers.problem().as_deref());
    }

    /// Continues with an action after its check.
    fn proceed(&mut self, action: PendingAction, answer: Result<Answer, String>) {
        match (action, answer) {
            (PendingAction::Restart(ticket, dir), answer) => {
                // What cannot be checked is treated as absent.
                let check = match answer {
                    Ok(Answer::RestartFiles(look)) => look,
                    _ => Default::default(),
                };
                if check.withheld {
                    self.starts.warn_once("restart files", stat_workers::withheld(&dir));
                }
                self.router.send(&Notice::RestartFiles { ticket, found: check.found }, &[]);
                let unwanted = self.stat_workers.changes.watched(&dir, check.watched);
                self.unwatch(unwanted);
            }
            (PendingAction::Recheck(dir), Ok(Answer::RestartFiles(check))) => {
                let exist = check.found.restart_mtime.is_some() || check.found.always;
                let unwanted = self.stat_workers.changes.watched(&dir, check.watched);
                self.unwatch(unwanted);
                if exist {
                    self.router.send(&Notice::RestartFilesChanged { dir }, &[]);
                }
            }
            (PendingAction::Recheck(_) | PendingAction::Unwatch, _) => {}
            (PendingAction::Users(users), Ok(Answer::Users(checked))) => self.users_checked(users, checked),
            (PendingAction::Users(users), answer) => self.users_checked(users, Err(no_answer(answer))),
            (PendingAction::Spawn(ticket, spec), Ok(Answer::App(resolved))) => {
                self.spawn(ticket, &spec, resolved);
            }
            (PendingAction::Spawn(ticket, spec), answer) => {
                self.spawn(ticket, &spec, Err(Refusal::public(no_answer(answer))));
            }
            (PendingAction::Fork(ticket, order), Ok(Answer::App(resolved))) => {
                self.fork(ticket, order, resolved.ok().as_ref());
            }
            (PendingAction::Fork(ticket, order), _) => self.fork(ticket, order, None),
        }
    }

    fn spawn(&mut self, ticket: Ticket, spec: &SpawnSpec, resolved: Result<ResolvedApp, Refusal>) {
        let reply = match resolved {
            Ok(resolved) => {
                let (starts, mut context) = self.starts();
                starts.spawn(ticket, spec, resolved, &mut context)
            }
            Err(Refusal { public: reason, exact }) => {
                // The router may not know this.
                if let Some(exact) = exact
                    && self.router.may_log(Topic::Withheld)
                {
                    let exact = shortened(&format!("no process is started: {exact}"));
                    tracing::warn!("{}: {exact}", shortened(&spec.group));
                }
                Some(Reply::not_spawned(ticket, &spec.group, reason))
            }
        };
        self.reply(reply);
    }

    fn fork(&mut self, ticket: Ticket, order: ForkOrder, resolved: Option<&ResolvedApp>) {
        let (starts, mut context) = self.starts();
        let reply = starts.fork(ticket, order, resolved, &mut context);
        self.reply(reply);
    }
}

fn no_answer(answer: Result<Answer, String>) -> String {
    answer.err().unwrap_or_else(|| "another check was performed".to_owned())
}
