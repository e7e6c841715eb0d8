//! Restart files are noticed when they change, without a request, however long the pause between two checks is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use test_support::{Language, OneApp, TestDir, eventually, is_root, skipped, stays};

/// Longer than any test: what is noticed is not noticed by a check at a request.
const NO_CHECK: &str = "--stat-throttle-rate=3600";

fn setup(lines: &str) -> (OneApp, u32) {
    let setup = OneApp::with(Language::Python, lines, |daemon| daemon.flag(NO_CHECK));
    let first = setup.app_pid();
    // The first check, at the first request, records the files.
    assert_eq!(setup.app_pid(), first);
    (setup, first)
}

/// Waits for a process in place of `before`, without sending a request.
#[track_caller]
fn replaced(setup: &OneApp, before: u32) -> u32 {
    eventually("another process has taken its place without a request", || {
        let pids = setup.daemon.app_pids();
        pids.len() == 1 && pids[0] != before
    });
    setup.daemon.app_pids()[0]
}

fn touch(path: &Path) {
    assert!(Command::new("touch").arg(path).status().unwrap().success());
}

#[test]
fn a_touched_restart_file_restarts_the_app_without_a_request() {
    let (setup, first) = setup("");
    let _ = fs::create_dir(setup.app.path("tmp"));
    touch(&setup.app.path("tmp/restart.txt"));
    let second = replaced(&setup, first);
    touch(&setup.app.path("tmp/restart.txt"));
    let third = replaced(&setup, second);
    fs::write(setup.app.path("tmp/new"), "").unwrap();
    fs::rename(setup.app.path("tmp/new"), setup.app.path("tmp/restart.txt")).unwrap();
    let fourth = replaced(&setup, third);
    fs::remove_file(setup.app.path("tmp/restart.txt")).unwrap();
    stays("a removed file restarts nothing", Duration::from_millis(1500), || {
        setup.daemon.app_pids() == [fourth]
    });
    assert_eq!(setup.app_pid(), fourth);
    let restarts = setup.daemon.log().matches("restarting, as its restart files require").count();
    assert_eq!(restarts, 3, "one restart for each change: {}", setup.daemon.log());
}

#[test]
fn the_directory_may_be_made_and_replaced_while_the_app_runs() {
    let (setup, first) = setup("passenger_restart_dir run;");
    let directory = setup.app.path("run");
    assert!(!directory.exists());
    fs::create_dir(&directory).unwrap();
    touch(&directory.join("restart.txt"));
    let second = replaced(&setup, first);
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    touch(&directory.join("restart.txt"));
    replaced(&setup, second);
}

#[test]
fn a_rolling_restart_begins_without_a_request() {
    let (setup, first) = setup("passenger_rolling_restarts on;");
    let _ = fs::create_dir(setup.app.path("tmp"));
    touch(&setup.app.path("tmp/restart.txt"));
    replaced(&setup, first);
    setup.daemon.logs_eventually("every process is replaced");
}

#[test]
fn always_restart_takes_effect_at_the_next_request() {
    let (setup, first) = setup("");
    let _ = fs::create_dir(setup.app.path("tmp"));
    touch(&setup.app.path("tmp/always_restart.txt"));
    // Without a request it restarts nothing; the next one is answered by a new process.
    let mut last = first;
    eventually("each request has another process", || {
        let pid = setup.app_pid();
        std::mem::replace(&mut last, pid) != pid
    });
    assert_ne!(setup.app_pid(), last);
    fs::remove_file(setup.app.path("tmp/always_restart.txt")).unwrap();
    eventually("the app is no longer restarted", || {
        let pid = setup.app_pid();
        std::mem::replace(&mut last, pid) == pid
    });
}

#[test]
fn a_release_that_is_switched_by_a_symbolic_link_restarts_the_app() {
    let test_dir = TestDir::new();
    for release in ["one", "two"] {
        let app = test_dir.app(&format!("releases/{release}")).python(&format!(
            "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{release}']\n"
        ));
        let _ = fs::create_dir(app.path("tmp"));
    }
    symlink("releases/one", test_dir.path("current")).unwrap();
    let daemon = test_dir.daemon().flag(NO_CHECK).start();
    let conf = "%%GLOBALS%% events {} http { %%HTTP%% passenger_fly_with %%SOCKET%%; server { \
                listen 127.0.0.1:%%PORT%%; root %%DIR%%/current/public; passenger_enabled on; \
                passenger_app_root %%DIR%%/current; } }";
    let nginx = test_dir.nginx(conf).start();
    assert_eq!(nginx.get("/").expect(200).text(), "one");
    let first = daemon.app_pids();
    // As Capistrano does it: a new link takes the place of the old one, then the file is touched.
    symlink("releases/two", test_dir.path("next")).unwrap();
    fs::rename(test_dir.path("next"), test_dir.path("current")).unwrap();
    touch(&test_dir.path("current/tmp/restart.txt"));
    eventually("another process runs without a request", || {
        let pids = daemon.app_pids();
        pids.len() == 1 && pids != first
    });
    assert_eq!(nginx.get("/").expect(200).text(), "two");
}

#[test]
fn an_app_that_changes_many_files_is_no_longer_watched() {
    let (setup, first) = setup("");
    let directory = setup.app.path("tmp");
    let _ = fs::create_dir(&directory);
    touch(&directory.join("restart.txt"));
    let second = replaced(&setup, first);
    for number in 0..20_000 {
        fs::write(directory.join(format!("cache-{}", number % 50)), "").unwrap();
    }
    assert_eq!(setup.app_pid(), second, "the daemon and the app go on");
    let cpu = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", setup.daemon.pid())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = cpu();
    for number in 0..20_000 {
        fs::write(directory.join(format!("cache-{}", number % 50)), "").unwrap();
    }
    assert!(
        cpu() - before < 50,
        "the supervisor used {} ticks for files that are not its own",
        cpu() - before
    );
}

#[test]
fn without_inotify_a_request_notices_restart_files() {
    if !is_root() {
        return skipped(
            "without_inotify_a_request_notices_restart_files",
            "it changes a limit of a namespace",
        );
    }
    // A user namespace without watches, and an ordinary user in it.
    const LIMITED: &str = "echo 0 > /proc/sys/user/max_inotify_watches && \
                           exec unshare --user --map-user=1000 --map-group=1000 \"$@\"";
    let through = ["unshare", "--user", "--map-root-user", "sh", "-c", LIMITED, "sh"];
    let setup =
        OneApp::with(Language::Python, "", |daemon| daemon.flag("--stat-throttle-rate=0").through(&through));
    let first = setup.app_pid();
    setup.app.touch_restart_txt();
    let second = setup.app_pid();
    assert_ne!(second, first, "the next request notices it");
    setup.app.touch_restart_txt();
    assert_ne!(setup.app_pid(), second);
    setup.daemon.logs_eventually(" for restart files: No space left on device");
    assert_eq!(setup.daemon.log().matches(" for restart files: ").count(), 1, "{}", setup.daemon.log());
}
