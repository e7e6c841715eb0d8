//! The destination of the daemon's log, who may set it, and lines that apps print.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use stage::{Daemon, DaemonBuilder, Nginx, ONE_APP, Stage, eventually, is_root, kill_9, skipped};

/// Prints what it is asked to, and answers with its PID.
const SPEAKER: &str = r#"
    $stdout.sync = true
    run ->(env) {
      puts env["QUERY_STRING"].gsub("ESC", "\e")
      [200, {}, [Process.pid.to_s]]
    }
"#;

/// A printed line with what stands in front of it, and without.
const FRAMED: &str = " output: WORD\n";
const BARE: &str = "\nWORD\n";

/// An app that speaks, behind an nginx with lines in its `http` block.
struct Speaking {
    nginx: Nginx,
    daemon: Daemon,
    stage: Stage,
}

impl Speaking {
    fn new(stage: Stage, lines: &str, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> Self {
        stage.app("app").ruby(SPEAKER);
        let daemon = flags(stage.daemon()).start();
        let nginx = stage.nginx(&conf(lines)).start();
        Self { nginx, daemon, stage }
    }

    fn reconfigure(&self, lines: &str) {
        self.nginx.configure(&conf(lines));
        self.nginx.reload();
    }

    #[track_caller]
    fn say(&self, word: &str) {
        self.nginx.get(&format!("/?{word}")).expect(200);
    }

    /// Speaks until the file holds the line: nginx tells its new configuration with its first request after a reload.
    #[track_caller]
    fn says_in(&self, file: &Path, word: &str, line: &str) {
        eventually(&format!("{line:?} is in {}", file.display()), || {
            self.say(word);
            read(file).contains(&line.replace("WORD", word))
        });
    }
}

fn conf(lines: &str) -> String {
    ONE_APP.replace("%%HTTP%%", &format!("%%HTTP%% {lines}")).replace("%%APP%%", "")
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
    fn for_nginx(stage: &Stage, name: &str) -> Self {
        let file = format!("flying-passenger-test-{}-{name}.log", std::process::id());
        Self(if is_root() { Path::new("/var/log").join(file) } else { stage.path(&file) })
    }
}

impl Drop for LogPath {
    fn drop(&mut self) {
        let _not_made = fs::remove_file(&self.0);
    }
}

#[test]
fn the_flag_names_the_file_for_every_line() {
    let stage = Stage::new();
    let log = stage.path("own.log");
    let flag = format!("--log-file={}", log.display());
    let speaking = Speaking::new(stage, "", |daemon| daemon.flag(&flag));
    speaking.says_in(&log, "hello", FRAMED);
    for words in
        ["/supervisor lifecycle::startup ]: ", "/router ", &format!("the log is now {}", log.display())]
    {
        assert!(read(&log).contains(words), "{words} is missing in:\n{}", read(&log));
    }
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o640);
    let inherited = speaking.daemon.standard_error();
    assert!(inherited.ends_with(&format!("the log continues in {}\n", log.display())), "{inherited}");
}

#[test]
fn a_log_file_of_the_flag_that_cannot_be_opened_keeps_the_daemon_from_starting() {
    let stage = Stage::new();
    std::os::unix::fs::symlink("elsewhere", stage.path("link")).unwrap();
    for (name, why) in [("missing/x", "No such file or directory"), ("link", "it is a symbolic link")] {
        let path = stage.path(name);
        let output = stage.daemon().flag(&format!("--log-file={}", path.display())).output();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        let sentence = format!("the log file {} cannot be opened: {why}", path.display());
        assert!(said.contains(&sentence) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn nginx_names_the_file_and_takes_it_back() {
    let stage = Stage::new();
    let log = LogPath::for_nginx(&stage, "named");
    let path = log.0.display().to_string();
    let speaking = Speaking::new(stage, &format!("passenger_log_file {path};"), |daemon| daemon);
    speaking.says_in(&log.0, "first", FRAMED);
    assert!(read(&log.0).lines().next().unwrap().ends_with(&format!("the log is now {path}")));
    speaking.daemon.logs_eventually(&format!("the log continues in {path}\n"));
    assert!(!speaking.daemon.log().contains("output: first"));

    speaking.daemon.kill_router();
    speaking.says_in(&log.0, "second", FRAMED);
    assert!(read(&log.0).contains("the next one takes over"));

    speaking.reconfigure("");
    speaking.says_in(&speaking.stage.path("daemon.log"), "third", FRAMED);
    assert!(read(&log.0).ends_with("the log continues in standard error\n"), "{}", read(&log.0));
    speaking.daemon.logs_eventually("the log is now standard error");
}

#[test]
fn root_opens_on_nginx_word_only_what_root_alone_can_have_made() {
    if !is_root() {
        skipped("root_opens_on_nginx_word_only_what_root_alone_can_have_made", "it is about root");
        return;
    }
    let stage = Stage::new();
    let (elsewhere, named) = (stage.path("elsewhere.log"), LogPath::for_nginx(&stage, "strangers"));
    fs::write(&named.0, "Nov 23 sshd: a line of another program\n").unwrap();
    let speaking = Speaking::new(stage, "", |daemon| daemon);
    let outside = "as the daemon runs as root, it must be below /var/log";
    for (path, why) in [
        (elsewhere.display().to_string(), outside),
        ("/var/log/../lib/x.log".to_owned(), outside),
        ("/var/log/btmp".to_owned(), outside),
        ("/var/log/no-such-directory/x.log".to_owned(), "/var/log/no-such-directory cannot be opened"),
        (named.0.display().to_string(), "its content is not a log"),
    ] {
        speaking.reconfigure(&format!("passenger_log_file {path};"));
        let warning = format!("ignoring passenger_log_file \"{path}\" from nginx: {why}");
        eventually(&warning, || {
            speaking.say("something");
            let log = speaking.daemon.log();
            log.contains(&warning) || log.lines().any(|line| line.contains(&path) && line.contains(why))
        });
    }
    eventually("the settings show that nginx's word does not count", || {
        let shown =
            String::from_utf8(speaking.daemon.tool("passenger-config", &["settings"]).stdout).unwrap();
        shown.lines().any(|line| line.contains(" log_file ") && line.ends_with("(default)"))
    });
    assert!(!elsewhere.exists() && read(&named.0).lines().count() == 1);
    speaking.says_in(&speaking.stage.path("daemon.log"), "still-here", FRAMED);
}

#[test]
fn an_ordinary_users_daemon_opens_what_its_user_may() {
    let stage = Stage::new();
    let games = User::from_name("games").unwrap().expect("there is a user games");
    let (uid, gid) = (games.uid.as_raw(), games.gid.as_raw());
    let mut user = None;
    if is_root() {
        std::os::unix::fs::chown(stage.dir(), Some(uid), Some(gid)).unwrap();
        user = Some((uid, gid));
    }
    let log = stage.path("of-nginx.log");
    let lines = format!("passenger_log_file {};", log.display());
    let speaking = Speaking::new(stage, &lines, |daemon| match user {
        Some((uid, gid)) => daemon.as_user(uid, gid),
        None => daemon,
    });
    speaking.says_in(&log, "hello", FRAMED);
    assert!(user.is_none() || fs::metadata(&log).unwrap().uid() == uid);
    speaking.reconfigure("passenger_log_file /dev/full;");
    eventually("the log goes where no line can be written", || {
        speaking.say("lost");
        read(&log).contains("the log continues in /dev/full")
    });
    speaking.say("lost");
    speaking.daemon.kill_router();
    speaking.reconfigure(&lines);
    speaking.says_in(&log, "found", FRAMED);
    speaking.reconfigure("passenger_log_file /no-such-directory/x;");
    eventually("the file cannot be opened, and the log stays", || {
        speaking.say("something");
        read(&log).contains("from nginx: No such file or directory")
    });
}

#[test]
fn a_renamed_log_is_opened_anew() {
    let stage = Stage::new();
    let (log, old) = (stage.path("own.log"), stage.path("own.log.1"));
    let flag = format!("--log-file={}", log.display());
    let speaking = Speaking::new(stage, "", |daemon| daemon.flag(&flag));
    kill(Pid::from_raw(speaking.daemon.router().cast_signed()), Signal::SIGUSR1).unwrap();
    let signal = || speaking.daemon.signal(Signal::SIGUSR1);
    let tool = || {
        let output = speaking.daemon.tool("passenger-config", &["reopen-logs"]);
        assert!(output.status.success(), "{output:?}");
    };
    for (round, ask) in [("one", &signal as &dyn Fn()), ("two", &tool)] {
        fs::rename(&log, &old).unwrap();
        ask();
        speaking.daemon.logs_eventually("the log is now");
        speaking.says_in(&log, round, FRAMED);
        let size = fs::metadata(&old).unwrap().len();
        speaking.says_in(&log, &format!("{round}-again"), FRAMED);
        assert_eq!(fs::metadata(&old).unwrap().len(), size, "nothing is added to the old file");
        let mut processes = vec![speaking.daemon.pid()];
        if is_root() {
            processes.push(speaking.daemon.router());
        } else {
            skipped("what the router holds of a renamed log", "nobody but root may look into a router");
        }
        for pid in processes {
            assert!(!has_open(pid, &old), "process {pid} holds the old file");
        }
    }
    assert!(!read(&log).contains("the next one takes over"), "{}", read(&log));
}

#[test]
fn the_prefix_of_printed_lines_goes_and_comes_back() {
    let speaking = Speaking::new(Stage::new(), "", |daemon| daemon);
    let log = speaking.stage.path("daemon.log");
    speaking.says_in(&log, "framed", FRAMED);
    speaking.reconfigure("passenger_disable_log_prefix on;");
    speaking.says_in(&log, "bare-ESC[31m-line", "\nbare-\\x1b[31m-line\n");
    speaking.reconfigure("");
    speaking.says_in(&log, "again", FRAMED);
}

#[test]
fn the_flag_takes_the_prefix_away_and_a_new_router_knows() {
    let speaking = Speaking::new(Stage::new(), "", |daemon| daemon.flag("--disable-log-prefix"));
    let log = speaking.stage.path("daemon.log");
    speaking.says_in(&log, "first", BARE);
    let pid = speaking.nginx.get("/?x").expect(200).text().parse().unwrap();
    speaking.daemon.kill_router();
    speaking.says_in(&log, "second", BARE);
    kill_9(pid);
    eventually("another process is there", || speaking.daemon.app_pids().iter().any(|each| *each != pid));
    speaking.says_in(&log, "third", BARE);
}

#[test]
fn the_router_cannot_reach_the_log_file() {
    if !is_root() {
        return skipped("the_router_cannot_reach_the_log_file", "nobody but root may look into a router");
    }
    let speaking = Speaking::new(Stage::new(), "", |daemon| daemon);
    speaking.say("hello");
    let router = speaking.daemon.router();
    let output = fs::read_link(format!("/proc/{router}/fd/2")).unwrap();
    assert!(output.to_string_lossy().starts_with("pipe:"), "the router could truncate its log {output:?}");
    assert!(!has_open(router, &speaking.stage.path("daemon.log")));
    speaking.daemon.logs_eventually("/router ");
    speaking.daemon.logs_eventually("output: hello");
}
