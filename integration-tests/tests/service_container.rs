//! The daemon as PID 1 of a container: it reaps orphans and stops by signals.

use std::process::Command;

use nix::sys::signal::Signal;
use stage::{App, Scene, Stage, eventually, is_root, signal, skipped, zombies};

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

fn contained(test: &str, fill: impl FnOnce(App) -> App) -> Option<Scene> {
    let namespaces = || Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).status();
    if !is_root() || !namespaces().is_ok_and(|status| status.success()) {
        skipped(test, "only root, with the right to make namespaces, can make a container");
        return None;
    }
    let stage = Stage::new();
    let app = fill(stage.app("app"));
    let daemon = stage.daemon().configured("max_pool_size = 3\n").as_first_process().start();
    let nginx = stage.nginx(&stage::ONE_APP.replace("%%APP%%", "")).start();
    Some(Scene { nginx, daemon, app, stage })
}

#[test]
fn as_the_first_process_it_reaps_orphans_and_ends_when_it_is_told() {
    const NAME: &str = "as_the_first_process_it_reaps_orphans_and_ends_when_it_is_told";
    let Some(mut scene) = contained(NAME, |app| app.python(PYTHON)) else { return };
    let pid = scene.app_pid();
    assert!(pid < 1000, "PIDs are the container's own: {pid}");
    scene.nginx.get("/orphan").expect(200);
    for name in ["end.there", "never.there"] {
        eventually("an orphan is there", || scene.stage.scratch(name).exists());
    }
    let daemon = scene.daemon.pid();
    let children = || stage::descendants(daemon).len();
    let all = children();
    std::fs::write(scene.stage.scratch("end"), "").unwrap();
    eventually("the first orphan has ended and was reaped", || children() == all - 1 && zombies(daemon) == 0);

    // PID 1 ignores signals that do not concern it.
    for other in [Signal::SIGWINCH, Signal::SIGPIPE, Signal::SIGALRM, Signal::SIGUSR2, Signal::SIGCONT] {
        signal(daemon, other);
    }
    scene.daemon.signal(Signal::SIGHUP);
    scene.daemon.logs_eventually("reading the configuration again");
    assert_eq!(scene.app_pid(), pid, "nothing has happened to the app");

    let status = scene.daemon.stop();
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(!scene.stage.socket().exists() && scene.daemon.log().contains("the daemon has ended"));
    // The harness checks that no process is left, including the other orphan.
    scene.stage.expect_log_line(&scene.stage.socket().display().to_string());
}

#[test]
fn as_the_first_process_it_tells_that_it_was_cut_short() {
    const NAME: &str = "as_the_first_process_it_tells_that_it_was_cut_short";
    let Some(mut scene) = contained(NAME, |app| app.standard(stage::Language::Python)) else { return };
    let mut client = scene.nginx.connect();
    client.send(stage::Request::get("/wait?name=never").bytes("close"));
    eventually("a request is under way", || scene.stage.scratch("never.arrived").exists());
    scene.daemon.signal(Signal::SIGTERM);
    scene.daemon.logs_eventually("shutting down");
    scene.daemon.signal(Signal::SIGTERM);
    assert_eq!(scene.daemon.await_end().code(), Some(1));
}
