//! The daemon as PID 1 of a container: it reaps orphans and stops by signals.

use std::process::Command;

use nix::sys::signal::Signal;
use test_support::{App, OneApp, TestDir, eventually, is_root, signal, skipped, zombies};

/// Leaves orphans behind: one that ends when the test says so, and one that does not.
const PYTHON: &str = "import os, time
def orphan(until):
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            open(os.path.join('scratch', until + '.there'), 'w').close()
            while not os.path.exists(os.path.join('scratch', until)):
                time.sleep(0.02)
        os._exit(0)
    os.waitpid(child, 0)
def application(environ, start_response):
    if environ['PATH_INFO'] == '/orphan':
        orphan('end')
        orphan('never')
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";

fn contained(test: &str, fill: impl FnOnce(App) -> App) -> Option<OneApp> {
    let namespaces = || Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).status();
    if !is_root() || !namespaces().is_ok_and(|status| status.success()) {
        skipped(test, "only root, with the right to make namespaces, can make a container");
        return None;
    }
    let test_dir = TestDir::new();
    let app = fill(test_dir.app("app"));
    let daemon = test_dir.daemon().configured("max_pool_size = 3\n").as_first_process().start();
    let nginx = test_dir.nginx(&test_support::ONE_APP_CONF.replace("%%APP%%", "")).start();
    Some(OneApp { nginx, daemon, app, test_dir })
}

#[test]
fn as_pid_1_it_reaps_orphans_and_stops_on_a_signal() {
    const NAME: &str = "as_pid_1_it_reaps_orphans_and_stops_on_a_signal";
    let Some(mut setup) = contained(NAME, |app| app.python(PYTHON)) else { return };
    let pid = setup.app_pid();
    assert!(pid < 1000, "PIDs are the container's own: {pid}");
    setup.nginx.get("/orphan").expect(200);
    for name in ["end.there", "never.there"] {
        eventually("an orphan is there", || setup.test_dir.scratch(name).exists());
    }
    let daemon = setup.daemon.pid();
    let children = || test_support::descendants(daemon).len();
    let all = children();
    std::fs::write(setup.test_dir.scratch("end"), "").unwrap();
    eventually("the first orphan has ended and was reaped", || children() == all - 1 && zombies(daemon) == 0);

    // PID 1 ignores signals that do not concern it.
    for other in [Signal::SIGWINCH, Signal::SIGPIPE, Signal::SIGALRM, Signal::SIGUSR2, Signal::SIGCONT] {
        signal(daemon, other);
    }
    setup.daemon.signal(Signal::SIGHUP);
    setup.daemon.logs_eventually("reading the configuration again");
    assert_eq!(setup.app_pid(), pid, "nothing has happened to the app");

    let status = setup.daemon.stop();
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(!setup.test_dir.socket().exists() && setup.daemon.log().contains("the daemon has ended"));
    // The harness checks that no process is left, including the other orphan.
    setup.test_dir.expect_log_line(&setup.test_dir.socket().display().to_string());
}

#[test]
fn as_pid_1_it_reports_an_incomplete_shutdown() {
    const NAME: &str = "as_pid_1_it_reports_an_incomplete_shutdown";
    let Some(mut setup) = contained(NAME, |app| app.standard(test_support::Language::Python)) else { return };
    let mut client = setup.nginx.connect();
    client.send(test_support::Request::get("/wait?name=never").bytes("close"));
    eventually("a request is active", || setup.test_dir.scratch("never.arrived").exists());
    setup.daemon.signal(Signal::SIGTERM);
    setup.daemon.logs_eventually("shutting down");
    setup.daemon.signal(Signal::SIGTERM);
    assert_eq!(setup.daemon.await_end().code(), Some(1));
}
