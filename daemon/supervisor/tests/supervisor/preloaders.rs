//! Processes forked from a preloader: their user, what they have, and how both sides end.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;

use common::link::{Address, Notice, Order, ProcessRecord, SpawnSpec, StopHow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::request::AppKind;

use crate::daemon::{Daemon, eventually, give, is_alive, spec, status, until_gone};
use crate::scripted_router::Ask;
use crate::{Test, as_root, test};

pub(crate) const TESTS: &[Test] = &[
    test("a_forked_process_is_one_like_any_other", a_forked_process_is_one_like_any_other),
    test("a_forked_python_process_is_one_like_any_other", a_forked_python_process_is_one_like_any_other),
    test("a_dead_preloader_leaves_its_processes_alone", a_dead_preloader_leaves_its_processes_alone),
    test("a_preloader_ends_when_it_is_asked_to", a_preloader_ends_when_it_is_asked_to),
    test("only_a_ready_preloader_forks", only_a_ready_preloader_forks),
    test("a_preloader_is_not_to_blame_for_a_late_order", a_preloader_is_not_to_blame_for_a_late_order),
    test("a_preloader_that_fails_reports_the_reason", a_preloader_that_fails_reports_the_reason),
    test("the_immediate_end_of_a_process_is_reported", the_immediate_end_of_a_process_is_reported),
    test("a_preloader_ends_with_its_router_and_its_processes_do_not", a_preloader_ends_with_its_router),
    test("a_killed_supervisor_ends_what_was_forked", a_killed_supervisor_ends_what_was_forked),
    test("the_end_of_the_daemon_ends_preloaders", the_end_of_the_daemon_ends_preloaders),
    as_root("a_forked_process_is_of_its_preloaders_user", a_forked_process_is_of_its_preloaders_user),
];

const LOADERS: &str = concat!("--loaders-dir=", env!("CARGO_MANIFEST_DIR"), "/../loaders");
const RUBY: &str = "run ->(env) { [200, {}, ['here']] }";
const PYTHON: &str = "def application(environ, start_response):\n    return []\n";
/// Longer than a fork takes on a busy machine.
const LONG: u64 = 20_000;

fn app(daemon: &Daemon, kind: AppKind, text: &str) -> SpawnSpec {
    let root = daemon.app("app");
    let file = if kind == AppKind::Ruby { "config.ru" } else { "passenger_wsgi.py" };
    fs::write(root.join(file), text).unwrap();
    SpawnSpec { startup_file: file.into(), preloader: true, ..spec(kind, &root) }
}

fn preloader(daemon: &mut Daemon, spec: SpawnSpec) -> ProcessRecord {
    let (record, report) = daemon.spawn_reported(spec);
    assert_eq!(report, "loading\nready\n");
    daemon.order(Order::MarkReady {
        process: record.process,
        max_concurrent: None,
        revision: None,
        native: None,
    });
    record
}

fn ruby(daemon: &mut Daemon, text: &str) -> ProcessRecord {
    let spec = app(daemon, AppKind::Ruby, text);
    preloader(daemon, spec)
}

fn fork(daemon: &mut Daemon, preloader: &ProcessRecord) -> ProcessRecord {
    let record = daemon.try_fork(preloader.process, LONG).unwrap();
    assert_eq!(daemon.report(record.process), "ready\n");
    record
}

fn title(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
}

fn sockets(pid: i32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = links.filter_map(|link| Some(fs::read_link(link.ok()?.path()).ok()?.display().to_string()));
    targets.filter(|target| target.starts_with("socket:")).collect()
}

fn a_forked_process_is_one_like_any_other() {
    is_one_like_any_other(AppKind::Ruby, RUBY, "Passenger RubyApp: test (production)");
}

fn a_forked_python_process_is_one_like_any_other() {
    is_one_like_any_other(AppKind::Python, PYTHON, "Passenger PythonApp: test (production)");
}

fn is_one_like_any_other(kind: AppKind, text: &str, expected_title: &str) {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let spec = app(&daemon, kind, text);
    let preloader = preloader(&mut daemon, spec);
    assert_eq!(preloader.address, Address::Nowhere);
    assert_eq!(title(preloader.pid), "Passenger AppPreloader: test (production)");
    let processes = [fork(&mut daemon, &preloader), fork(&mut daemon, &preloader)];
    for record in &processes {
        assert_eq!(status(record.pid, "PPid"), [daemon.pid().to_string()], "it is the supervisor's child");
        assert_eq!(status(record.pid, "NSsid"), [record.pid.to_string()], "it leads a session");
        assert_eq!(title(record.pid), expected_title);
        assert_eq!(record.handover_data, b"fork");
        assert_eq!(record.user, preloader.user);
        assert_serves(record);
    }
    assert_ne!(processes[0].pid, processes[1].pid);
    eventually("the preloader has its control socket alone", || {
        let [control] = <[String; 1]>::try_from(sockets(preloader.pid)).ok()?;
        processes.iter().all(|record| !sockets(record.pid).contains(&control)).then_some(())
    });
    for record in processes {
        daemon.stop(record.process, StopHow::Gracefully);
        assert_eq!(daemon.exited(record.process), "exited with status 0");
    }
}

fn assert_serves(record: &ProcessRecord) {
    let Address::Unix(socket) = &record.address else { panic!("{:?}", record.address) };
    let mut greeting = [0; 8];
    UnixStream::connect(socket).unwrap().read_exact(&mut greeting).unwrap();
    assert_eq!(greeting[4], 6, "the loader greets");
}

fn a_dead_preloader_leaves_its_processes_alone() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let preloader = ruby(&mut daemon, RUBY);
    let record = fork(&mut daemon, &preloader);
    kill(Pid::from_raw(preloader.pid), Signal::SIGKILL).unwrap();
    assert_eq!(daemon.exited(preloader.process), "was killed by signal 9 (SIGKILL)");
    assert_eq!(daemon.try_fork(preloader.process, LONG).unwrap_err(), "its preloader has ended");
    assert_serves(&record);
    assert!(is_alive(record.pid));
}

fn a_preloader_ends_when_it_is_asked_to() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let preloader = ruby(&mut daemon, RUBY);
    let record = fork(&mut daemon, &preloader);
    daemon.stop(preloader.process, StopHow::Gracefully);
    assert_eq!(daemon.exited(preloader.process), "exited with status 0");
    assert_serves(&record);
}

fn only_a_ready_preloader_forks() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let spec = app(&daemon, AppKind::Ruby, RUBY);
    let (early, _) = daemon.spawn_reported(spec.clone());
    assert_eq!(daemon.try_fork(early.process, LONG).unwrap_err(), "its preloader is not ready");
    let (ordinary, _) = daemon.spawn_reported(SpawnSpec { preloader: false, ..spec.clone() });
    daemon.order(Order::MarkReady {
        process: ordinary.process,
        max_concurrent: None,
        revision: None,
        native: None,
    });
    assert_eq!(daemon.try_fork(ordinary.process, LONG).unwrap_err(), "it is not a preloader");
    let node = SpawnSpec { kind: AppKind::Node, ..spec };
    assert_eq!(daemon.try_spawn(node).unwrap_err(), "apps of type \"nodejs\" cannot be preloaded");
}

fn a_preloader_is_not_to_blame_for_a_late_order() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let preloader = ruby(&mut daemon, RUBY);
    let late = daemon.try_fork(preloader.process, 0).unwrap_err();
    assert_eq!(late, "the app's user was not determined in time");
    daemon.try_fork(preloader.process, LONG).expect("it is still there");
}

fn a_preloader_that_fails_reports_the_reason() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let spec = app(&daemon, AppKind::Ruby, "raise 'out of cheese'");
    let (record, report) = daemon.spawn_reported(spec);
    assert!(
        report
            .starts_with("loading\nerror the app failed while it was loaded: RuntimeError: out of cheese\n"),
        "{report}"
    );
    assert_eq!(daemon.exited(record.process), "exited with status 1");
}

fn the_immediate_end_of_a_process_is_reported() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let text = "PhusionPassenger.on_event(:starting_worker_process) { |forked| exit!(forked ? 7 : 8) }";
    let preloader = ruby(&mut daemon, &format!("{text}\n{RUBY}"));
    for _ in 0..10 {
        let record = daemon.try_fork(preloader.process, LONG).unwrap();
        assert_eq!(daemon.exited(record.process), "exited with status 7");
    }
}

fn a_preloader_ends_with_its_router() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let preloader = ruby(&mut daemon, RUBY);
    let record = fork(&mut daemon, &preloader);
    daemon.order(Order::MarkReady {
        process: record.process,
        max_concurrent: None,
        revision: None,
        native: None,
    });
    daemon.ask(&Ask::Exit(1));
    until_gone(preloader.pid);
    daemon.connect();
    daemon.notice(|notice| (*notice == Notice::Adopt(record.clone())).then_some(()));
    assert_serves(&record);
}

fn a_killed_supervisor_ends_what_was_forked() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    // Busy, so that it does not check its owner pipe.
    let preloader = ruby(
        &mut daemon,
        &format!("PhusionPassenger.on_event(:starting_worker_process) {{ puts 'busy'; sleep }}\n{RUBY}"),
    );
    let record = daemon.try_fork(preloader.process, LONG).unwrap();
    assert_eq!(daemon.output(record.process), "busy");
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    until_gone(record.pid);
    until_gone(preloader.pid);
}

fn the_end_of_the_daemon_ends_preloaders() {
    let mut daemon = Daemon::start_with(&[LOADERS]);
    let preloader = ruby(&mut daemon, RUBY);
    let record = fork(&mut daemon, &preloader);
    daemon.signal(Signal::SIGTERM);
    daemon.notice(|notice| matches!(notice, Notice::ShutDown { .. }).then_some(()));
    assert_eq!(daemon.try_fork(preloader.process, LONG).unwrap_err(), "the daemon is shutting down");
    daemon.order(Order::Finished);
    daemon.ask(&Ask::Exit(0));
    assert_eq!(daemon.wait().code(), Some(0));
    until_gone(preloader.pid);
    until_gone(record.pid);
    assert!(!daemon.log().contains("killed"), "{}", daemon.log());
}

fn a_forked_process_is_of_its_preloaders_user() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    // The loaders of this tree may not be accessible to that user.
    let loaders = daemon.dir().join("ruby");
    let copied = std::process::Command::new("cp")
        .args(["-r", concat!(env!("CARGO_MANIFEST_DIR"), "/../loaders/ruby")])
        .arg(&loaders)
        .status();
    assert!(copied.unwrap().success());
    fs::write(root.join("config.ru"), RUBY).unwrap();
    let games = nix::unistd::User::from_name("games").unwrap().unwrap();
    give(&root.join("config.ru"), games.uid.as_raw(), 0);
    let preloader = preloader(&mut daemon, SpawnSpec { preloader: true, ..spec(AppKind::Ruby, &root) });
    let record = fork(&mut daemon, &preloader);
    for pid in [preloader.pid, record.pid] {
        assert_eq!(status(pid, "Uid"), vec![games.uid.to_string(); 4]);
        assert_eq!(status(pid, "Groups"), [games.gid.to_string()]);
    }
    assert_eq!(record.user.name, "games");

    let other = nix::unistd::User::from_name("daemon").unwrap().unwrap();
    give(&root.join("config.ru"), other.uid.as_raw(), 0);
    let refused = daemon.try_fork(preloader.process, LONG).unwrap_err();
    assert_eq!(refused, "its preloader runs as games, and the app as daemon");
    assert_eq!(daemon.exited(preloader.process), "exited with status 0");
}
