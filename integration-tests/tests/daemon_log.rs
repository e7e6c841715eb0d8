//! The destination of the daemon's log, who may set it, and lines that apps print.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use test_support::{
    Daemon, DaemonBuilder, Nginx, ONE_APP_CONF, TestDir, eventually, is_root, kill_9, skipped,
};

/// Prints what it is asked to, and answers with its PID.
const SPEAKER: &str = r#"
    $stdout.sync = true
    run ->(env) {
      puts env["QUERY_STRING"].gsub("ESC", "\e")
      [200, {}, [Process.pid.to_s]]
    }
"#;

/// A printed line with its prefix, and without.
const FRAMED: &str = " output: WORD\n";
const BARE: &str = "\nWORD\n";

/// An app that speaks, behind an nginx with lines in its `http` block.
struct PrintingApp {
    nginx: Nginx,
    daemon: Daemon,
    test_dir: TestDir,
}

impl PrintingApp {
    fn new(test_dir: TestDir, lines: &str, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        test_dir.app("app").ruby(SPEAKER);
        let daemon = flags(test_dir.daemon()).start();
        let nginx = test_dir.nginx(&conf(lines)).start();
        Self { nginx, daemon, test_dir }
    }

    fn reconfigure(&self, lines: &str) {
        self.nginx.configure(&conf(lines));
        self.nginx.reload();
    }

    #[track_caller]
    fn say(&self, word: &str) {
        self.nginx.get(&format!("/?{word}")).expect(200);
    }

    /// Prints until the file contains the line: nginx sends its new configuration with its first request after a reload.
    #[track_caller]
    fn prints_in(&self, file: &Path, word: &str, line: &str) {
        eventually(&format!("{line:?} is in {}", file.display()), || {
            self.say(word);
            read(file).contains(&line.replace("WORD", word))
        });
    }
}

fn conf(lines: &str) -> String {
    ONE_APP_CONF.replace("%%HTTP%%", &format!("%%HTTP%% {lines}")).replace("%%APP%%", "")
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn has_open(pid: u32, file: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    open.filter_map(Result::ok).any(|each| fs::read_link(each.path()).is_ok_and(|path| path == file))
}

/// A log file's path where a daemon of this user takes nginx's word for it; removed at the end.
struct LogPath(PathBuf);

impl LogPath {
    fn for_nginx(test_dir: &TestDir, name: &str) -> Self {
        let file = format!("flying-passenger-test-{}-{name}.log", std::process::id());
        Self(if is_root() { Path::new("/var/log").join(file) } else { test_dir.path(&file) })
    }
}

impl Drop for LogPath {
    fn drop(&mut self) {
        let _not_made = fs::remove_file(&self.0);
    }
}

#[test]
fn every_line_goes_to_the_file_of_the_flag() {
    let test_dir = TestDir::new();
    let log = test_dir.path("own.log");
    let flag = format!("--log-file={}", log.display());
    let printing_app = PrintingApp::new(test_dir, "", |daemon| daemon.flag(&flag));
    printing_app.prints_in(&log, "hello", FRAMED);
    for words in
        ["/supervisor lifecycle::startup ]: ", "/router ", &format!("the log is now {}", log.display())]
    {
        assert!(read(&log).contains(words), "{words} is missing in:\n{}", read(&log));
    }
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o640);
    let inherited = printing_app.daemon.standard_error();
    assert!(inherited.ends_with(&format!("the log continues in {}\n", log.display())), "{inherited}");
}

#[test]
fn the_daemon_does_not_start_without_its_log_file() {
    let test_dir = TestDir::new();
    std::os::unix::fs::symlink("elsewhere", test_dir.path("link")).unwrap();
    for (name, why) in [("missing/x", "No such file or directory"), ("link", "it is a symbolic link")] {
        let path = test_dir.path(name);
        let output = test_dir.daemon().flag(&format!("--log-file={}", path.display())).output();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        let sentence = format!("the log file {} cannot be opened: {why}", path.display());
        assert!(printed.contains(&sentence) && printed.lines().count() == 1, "{printed}");
    }
}

#[test]
fn nginx_sets_and_resets_the_log_file() {
    let test_dir = TestDir::new();
    let log = LogPath::for_nginx(&test_dir, "named");
    let path = log.0.display().to_string();
    let printing_app = PrintingApp::new(test_dir, &format!("passenger_log_file {path};"), |daemon| daemon);
    printing_app.prints_in(&log.0, "first", FRAMED);
    assert!(read(&log.0).lines().next().unwrap().ends_with(&format!("the log is now {path}")));
    printing_app.daemon.logs_eventually(&format!("the log continues in {path}\n"));
    assert!(!printing_app.daemon.log().contains("output: first"));

    printing_app.daemon.kill_router();
    printing_app.prints_in(&log.0, "second", FRAMED);
    assert!(read(&log.0).contains("the next one takes over"));

    printing_app.reconfigure("");
    printing_app.prints_in(&printing_app.test_dir.path("daemon.log"), "third", FRAMED);
    assert!(read(&log.0).ends_with("the log continues in standard error\n"), "{}", read(&log.0));
    printing_app.daemon.logs_eventually("the log is now standard error");
}

#[test]
fn as_root_nginx_can_only_name_logs_that_root_created() {
    if !is_root() {
        skipped("as_root_nginx_can_only_name_logs_that_root_created", "it is about root");
        return;
    }
    let test_dir = TestDir::new();
    let (elsewhere, named) = (test_dir.path("elsewhere.log"), LogPath::for_nginx(&test_dir, "strangers"));
    fs::write(&named.0, "Nov 23 sshd: a line of another program\n").unwrap();
    let printing_app = PrintingApp::new(test_dir, "", |daemon| daemon);
    let outside = "as the daemon runs as root, it must be below /var/log";
    for (path, why) in [
        (elsewhere.display().to_string(), outside),
        ("/var/log/../lib/x.log".to_owned(), outside),
        ("/var/log/btmp".to_owned(), outside),
        ("/var/log/no-such-directory/x.log".to_owned(), "/var/log/no-such-directory cannot be opened"),
        (named.0.display().to_string(), "its content is not a log"),
    ] {
        printing_app.reconfigure(&format!("passenger_log_file {path};"));
        let warning = format!("ignoring passenger_log_file \"{path}\" from nginx: {why}");
        eventually(&warning, || {
            printing_app.say("something");
            let log = printing_app.daemon.log();
            log.contains(&warning) || log.lines().any(|line| line.contains(&path) && line.contains(why))
        });
    }
    eventually("the settings show that nginx's value is overridden", || {
        let shown =
            String::from_utf8(printing_app.daemon.tool("passenger-config", &["settings"]).stdout).unwrap();
        shown.lines().any(|line| line.contains(" log_file ") && line.ends_with("(default)"))
    });
    assert!(!elsewhere.exists() && read(&named.0).lines().count() == 1);
    printing_app.prints_in(&printing_app.test_dir.path("daemon.log"), "still-here", FRAMED);
}

#[test]
fn an_ordinary_users_daemon_opens_its_users_files() {
    let test_dir = TestDir::new();
    let games = User::from_name("games").unwrap().expect("there is a user games");
    let (uid, gid) = (games.uid.as_raw(), games.gid.as_raw());
    let mut user = None;
    if is_root() {
        std::os::unix::fs::chown(test_dir.dir(), Some(uid), Some(gid)).unwrap();
        user = Some((uid, gid));
    }
    let log = test_dir.path("of-nginx.log");
    let lines = format!("passenger_log_file {};", log.display());
    let printing_app = PrintingApp::new(test_dir, &lines, |daemon| match user {
        Some((uid, gid)) => daemon.as_user(uid, gid),
        None => daemon,
    });
    printing_app.prints_in(&log, "hello", FRAMED);
    assert!(user.is_none() || fs::metadata(&log).unwrap().uid() == uid);
    printing_app.reconfigure("passenger_log_file /dev/full;");
    eventually("the log goes where no line can be written", || {
        printing_app.say("lost");
        read(&log).contains("the log continues in /dev/full")
    });
    printing_app.say("lost");
    printing_app.daemon.kill_router();
    printing_app.reconfigure(&lines);
    printing_app.prints_in(&log, "found", FRAMED);
    printing_app.reconfigure("passenger_log_file /no-such-directory/x;");
    eventually("the file cannot be opened, and the log stays", || {
        printing_app.say("something");
        read(&log).contains("from nginx: No such file or directory")
    });
}

#[test]
fn a_renamed_log_is_reopened() {
    let test_dir = TestDir::new();
    let (log, old) = (test_dir.path("own.log"), test_dir.path("own.log.1"));
    let flag = format!("--log-file={}", log.display());
    let printing_app = PrintingApp::new(test_dir, "", |daemon| daemon.flag(&flag));
    kill(Pid::from_raw(printing_app.daemon.router().cast_signed()), Signal::SIGUSR1).unwrap();
    let signal = || printing_app.daemon.signal(Signal::SIGUSR1);
    let tool = || {
        let output = printing_app.daemon.tool("passenger-config", &["reopen-logs"]);
        assert!(output.status.success(), "{output:?}");
    };
    for (round, ask) in [("one", &signal as &dyn Fn()), ("two", &tool)] {
        fs::rename(&log, &old).unwrap();
        ask();
        printing_app.daemon.logs_eventually("the log is now");
        printing_app.prints_in(&log, round, FRAMED);
        let size = fs::metadata(&old).unwrap().len();
        printing_app.prints_in(&log, &format!("{round}-again"), FRAMED);
        assert_eq!(fs::metadata(&old).unwrap().len(), size, "nothing is added to the old file");
        let mut processes = vec![printing_app.daemon.pid()];
        if is_root() {
            processes.push(printing_app.daemon.router());
        } else {
            skipped("what the router holds of a renamed log", "only root may inspect a router");
        }
        for pid in processes {
            assert!(!has_open(pid, &old), "process {pid} holds the old file");
        }
    }
    assert!(!read(&log).contains("the next one takes over"), "{}", read(&log));
}

#[test]
fn the_prefix_of_printed_lines_can_be_switched() {
    let printing_app = PrintingApp::new(TestDir::new(), "", |daemon| daemon);
    let log = printing_app.test_dir.path("daemon.log");
    printing_app.prints_in(&log, "framed", FRAMED);
    printing_app.reconfigure("passenger_disable_log_prefix on;");
    printing_app.prints_in(&log, "bare-ESC[31m-line", "\nbare-\\x1b[31m-line\n");
    printing_app.reconfigure("");
    printing_app.prints_in(&log, "again", FRAMED);
}

#[test]
fn the_flag_removes_the_prefix_for_every_router() {
    let printing_app = PrintingApp::new(TestDir::new(), "", |daemon| daemon.flag("--disable-log-prefix"));
    let log = printing_app.test_dir.path("daemon.log");
    printing_app.prints_in(&log, "first", BARE);
    let pid = printing_app.nginx.get("/?x").expect(200).text().parse().unwrap();
    printing_app.daemon.kill_router();
    printing_app.prints_in(&log, "second", BARE);
    kill_9(pid);
    eventually("another process is there", || printing_app.daemon.app_pids().iter().any(|each| *each != pid));
    printing_app.prints_in(&log, "third", BARE);
}

#[test]
fn the_router_cannot_reach_the_log_file() {
    if !is_root() {
        return skipped("the_router_cannot_reach_the_log_file", "only root may inspect a router");
    }
    let printing_app = PrintingApp::new(TestDir::new(), "", |daemon| daemon);
    printing_app.say("hello");
    let router = printing_app.daemon.router();
    let output = fs::read_link(format!("/proc/{router}/fd/2")).unwrap();
    assert!(output.to_string_lossy().starts_with("pipe:"), "the router could truncate its log {output:?}");
    assert!(!has_open(router, &printing_app.test_dir.path("daemon.log")));
    printing_app.daemon.logs_eventually("/router ");
    printing_app.daemon.logs_eventually("output: hello");
}
