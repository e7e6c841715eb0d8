//! The daemon as a service: in the background, with a PID file, reloading its configuration, notifying a service manager.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use serde_json::json;
use test_support::{Language, ONE_APP_CONF, Request, TestDir, binary, eventually, is_alive, signal};

use crate::daemon_wide::DaemonSetup;

fn reported(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

#[test]
fn the_background_daemon_listens_when_the_call_returns() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Python);
    let (log, pid_file) = (test_dir.path("background.log"), test_dir.path("daemon.pid"));
    let started = test_dir
        .daemon()
        .flag("--daemonize")
        .flag(&flag("--log-file", &log))
        .flag(&flag("--pid-file", &pid_file))
        .output();
    assert!(started.status.success(), "{}", reported(&started));
    assert_eq!((reported(&started), started.stdout), (String::new(), Vec::new()));
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
    nginx.get("/pid").expect(200);
    let pid: u32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    eventually("the log has it", || fs::read_to_string(&log).unwrap().contains("up and listening"));
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid.cast_signed()))).unwrap();
    assert_eq!(session.as_raw(), pid.cast_signed(), "it leads a session without a terminal");

    let second = test_dir
        .daemon()
        .flag(&flag("--pid-file", &pid_file))
        .flag(&flag("--socket-file", &test_dir.path("second.sock")))
        .output();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        reported(&second).contains(&format!("belongs to a running daemon with PID {pid}")),
        "{}",
        reported(&second)
    );

    signal(pid, Signal::SIGTERM);
    eventually("the daemon has ended and its PID file is gone", || !is_alive(pid) && !pid_file.exists());
    assert!(!test_dir.socket().exists());
}

/// Every user can read the PID file, and so wait for its lock.
#[test]
fn a_foreign_lock_on_a_stale_pid_file_does_not_block_the_start() {
    let test_dir = TestDir::new();
    let pid_file = test_dir.path("daemon.pid");
    let mut daemon = test_dir.daemon().flag(&flag("--pid-file", &pid_file)).start();
    let open = fs::File::open(&pid_file).unwrap();
    daemon.kill();
    let _lock = Flock::lock(open, FlockArg::LockSharedNonblock).unwrap();
    daemon.start_again();
    let pid: u32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    assert_eq!(pid, daemon.pid());
}

#[test]
fn the_background_daemon_reports_a_failed_start_to_the_caller() {
    let test_dir = TestDir::new();
    let log = test_dir.path("background.log");
    let output = test_dir
        .daemon()
        .flag("--daemonize")
        .flag(&flag("--log-file", &log))
        .flag("--socket-file=/nonexistent/directory/socket")
        .output();
    assert_eq!(output.status.code(), Some(1));
    let why = "the daemon cannot start: the directory of /nonexistent/directory/socket does not exist";
    assert!(reported(&output).contains(why), "{}", reported(&output));
    eventually("the log has it as well", || fs::read_to_string(&log).unwrap().contains(why));
}

#[test]
fn in_the_background_it_needs_a_log_file() {
    let output = TestDir::new().daemon().flag("--daemonize").output();
    assert_eq!(output.status.code(), Some(1));
    assert!(reported(&output).contains("--daemonize: requires --log-file"), "{}", reported(&output));
}

#[test]
fn a_reload_with_an_error_changes_nothing() {
    let setup = DaemonSetup::new("", |daemon| daemon.configured("max_pool_size = 4\ndrain_timeout = 500\n"));
    assert_eq!(setup.option("max_pool_size"), (json!(4), "file".to_owned()));
    let file = setup.test_dir.path("daemon.toml");
    let text = fs::read_to_string(&file).unwrap();
    let pid = setup.nginx.get("/pid").text().to_owned();

    fs::write(&file, text.replace("= 4", "= 0").replace("drain", "dran")).unwrap();
    setup.daemon.signal(Signal::SIGHUP);
    setup.daemon.logs_eventually("the configuration is unchanged: ");
    setup.daemon.logs_eventually("unknown option \"dran_timeout\"");
    assert_eq!(setup.option("max_pool_size"), (json!(4), "file".to_owned()));

    let log = setup.test_dir.path("moved.log");
    let more = format!("log_file = {log:?}\n");
    fs::write(&file, text.replace("= 4", "= 5").replace("= 500", "= 50") + &more).unwrap();
    setup.daemon.signal(Signal::SIGHUP);
    setup
        .daemon
        .logs_eventually("drain_timeout has changed, which takes effect when the daemon is restarted");
    eventually("the new value is in effect", || setup.option("max_pool_size").0 == json!(5));
    eventually("the log has moved", || {
        fs::read_to_string(&log)
            .is_ok_and(|log| log.contains("max_pool_size changed from 4 to 5 by the daemon's configuration"))
            || setup.daemon.log().contains("max_pool_size changed from 4 to 5 by the daemon's configuration")
    });
    eventually("the log file is there", || log.exists());
    assert_eq!(setup.nginx.get("/pid").text(), pid, "no app was touched");
}

/// The notifications of a daemon to a service manager that listens at a socket in the test's directory.
pub(crate) struct Manager(UnixDatagram);

impl Manager {
    pub(crate) fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket)
    }

    /// Waits for a message with this line.
    pub(crate) fn receives(&self, line: &str) -> String {
        let mut message = vec![0; 4096];
        loop {
            let length = self.0.recv(&mut message).unwrap_or_else(|why| panic!("no {line}: {why}"));
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            if text.lines().any(|each| each == line) {
                return text;
            }
        }
    }
}

#[test]
fn the_service_manager_is_notified_of_each_state() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    let path = test_dir.path("notify");
    let manager = Manager::at(&path);
    let mut daemon = test_dir
        .daemon()
        .configured("max_pool_size = 4\n")
        .variable("NOTIFY_SOCKET", path)
        .variable("WATCHDOG_USEC", "200000".into())
        .start();
    assert!(manager.receives("READY=1").contains("STATUS=listening on "));
    manager.receives("WATCHDOG=1");
    manager.receives("WATCHDOG=1");
    daemon.signal(Signal::SIGHUP);
    assert!(manager.receives("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.receives("READY=1");
    daemon.stop();
    assert!(manager.receives("STOPPING=1").contains("EXTEND_TIMEOUT_USEC="));
}

#[test]
fn an_activated_socket_outlives_the_daemon() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Python);
    let mut daemon = test_dir.daemon().activated(test_dir.socket()).start();
    daemon.logs_eventually("was opened by the service manager, which decides who may connect");
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
    assert_eq!(nginx.get("/").expect(200).text(), "hello from python\n");
    let environment = nginx.send(Request::get("/env")).expect(200).text().to_owned();
    assert!(!environment.contains("LISTEN_"), "{environment}");
    daemon.stop();
    assert!(test_dir.socket().exists(), "the service manager's socket stays");
}

#[test]
fn an_activated_socket_at_another_path_is_refused() {
    let test_dir = TestDir::new();
    let other = test_dir.path("other.sock");
    let output = test_dir.daemon().activated(other.clone()).output();
    assert_eq!(output.status.code(), Some(1));
    let why = format!(
        "the service manager hands over the sockets [{}] and not {}",
        other.display(),
        test_dir.socket().display()
    );
    assert!(reported(&output).contains(&why), "{}", reported(&output));
}

#[test]
fn an_invalid_listen_pid_is_that_of_another_process() {
    for pid in ["", "none", "-1"] {
        let test_dir = TestDir::new();
        let daemon = test_dir.daemon().variable("LISTEN_PID", pid.into());
        daemon.variable("LISTEN_FDS", "1".into()).start();
    }
}

#[test]
fn an_argument_that_is_not_unicode_is_reported() {
    let output = Command::new(binary("flying-passenger")).arg(OsStr::from_bytes(b"--\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", reported(&output));
    assert!(reported(&output).starts_with("error: "), "{}", reported(&output));
}
