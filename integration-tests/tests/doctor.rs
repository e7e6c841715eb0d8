//! `passenger-config doctor`: its arguments and output, the user of the app, and no processes left behind.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::User;
use serde_json::Value;
use test_support::{
    DaemonBuilder, Language, ONE_APP_CONF, OneApp, TestDir, binary, eventually, for_each_language, is_root,
    python_venv, signal, skipped, workspace,
};

/// The command, for an app in a test directory.
pub(crate) fn doctor(test_dir: &TestDir, app: &Path) -> Command {
    // A copy, because the users of the apps may be unable to read the checkout.
    let loaders = test_dir.path("doctors-loaders");
    if !loaders.exists() {
        let mut copy = Command::new("cp");
        assert!(
            copy.arg("-r").arg(workspace().join("daemon/loaders")).arg(&loaders).status().unwrap().success()
        );
    }
    let _there_already = std::fs::create_dir(test_dir.path("registry"));
    let mut command = Command::new(binary("passenger-config"));
    command.arg("doctor").arg(app).arg("--loaders-dir").arg(loaders);
    command
        .env("PASSENGER_INSTANCE_REGISTRY_DIR", test_dir.path("registry"))
        // Processes that remain are found by this variable.
        .env("FLYING_PASSENGER_TEST_DIR", test_dir.dir());
    command
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The directory of the private daemon, from its log.
fn private_directory(shown: &str) -> PathBuf {
    let (_, rest) = shown.split_once("up and listening on ").expect("the private daemon has started");
    Path::new(rest.split('\n').next().unwrap()).parent().unwrap().to_owned()
}

/// Its report as JSON, with the exit status.
pub(crate) fn report(test_dir: &TestDir, app: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = doctor(test_dir, app).arg("--json").args(arguments).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    (output.status.code().unwrap(), report)
}

for_each_language! {
    fn a_working_app_responds_and_nothing_is_left(language) {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").standard(language);
        let mut command = doctor(&test_dir, app.dir());
        let generic = language == Language::Generic;
        command.args(if generic { &["--start-command", "node server.js"][..] } else { &[] });
        let output = command.output().unwrap();
        let shown = text(&output);
        assert_eq!(output.status.code(), Some(0), "{shown}");
        let kind = match language {
            Language::Ruby => "ruby, because config.ru exists",
            Language::Python => "python, because passenger_wsgi.py exists",
            Language::Node => "nodejs, because app.js exists",
            Language::Generic => "generic, because of --start-command",
        };
        for line in [
            &format!("App         : {}\n", app.dir().display()),
            &format!("Type        : {kind}\n"),
            "Settings    : defaults, because no running daemon serves the app\n",
            "execute done in ",
            "Response    : status 200 for GET /, after ",
            "The app starts and responds.\n",
        ] {
            assert!(shown.contains(line), "{line} is not in {shown}");
        }
        assert!(!private_directory(&shown).exists(), "its directory is removed");
        assert_eq!(test_dir.processes(), [0; 0], "its processes have exited");
    }
}

#[test]
fn every_name_of_a_type_is_accepted() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app");
    for (word, kind) in [
        ("ruby", "ruby"),
        ("rack", "ruby"),
        ("python", "python"),
        ("wsgi", "python"),
        ("nodejs", "nodejs"),
        ("node", "nodejs"),
        ("meteor", "meteor"),
    ] {
        let (status, report) = report(&test_dir, app.dir(), &["--type", word]);
        assert_eq!((status, report["type"].as_str()), (1, Some(kind)), "{report:#}");
        let problem = report["diagnosis"]["cause"].as_str().unwrap();
        assert!(problem.starts_with("the startup file is missing: "), "{word}: {problem}");
    }
    let refused = doctor(&test_dir, app.dir()).args(["--type", "php"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn flags_have_the_effect_of_directives() {
    let test_dir = TestDir::new();
    let source = "raise [ENV['RACK_ENV'], ENV['COLOUR'], Process.uid, Process.gid, Gem.ruby].join(' ')";
    let app = test_dir.app("app").file("other.ru", source);
    let ruby = Command::new("sh").args(["-c", "command -v ruby"]).output().unwrap();
    let ruby = String::from_utf8(ruby.stdout).unwrap().trim().to_owned();
    let users: &[&str] = if is_root() { &["--user=games", "--group=adm"] } else { &[] };
    let arguments = [
        "--type=ruby",
        "--startup-file=other.ru",
        "--environment=staging",
        "--env=COLOUR=green",
        "--ruby",
        &ruby,
    ];
    let (_, report) = report(&test_dir, app.dir(), &[&arguments, users].concat());
    let summary = report["report"]["summary"].as_str().unwrap();
    assert!(summary.contains("staging green "), "{report:#}");
    assert_eq!(
        (report["type_reason"].as_str(), report["environment"].as_str()),
        (Some("because of --type"), Some("staging"))
    );
    if is_root() {
        let games = User::from_name("games").unwrap().unwrap().uid;
        let adm = nix::unistd::Group::from_name("adm").unwrap().unwrap().gid;
        assert!(summary.contains(&format!("staging green {games} {adm} ")), "{summary}");
        assert_eq!(report["user_reason"], "because of passenger_user or --user");
    }
    assert!(report["report"]["environment"]["COLOUR"] == "green", "{report:#}");
    let shown =
        text(&doctor(&test_dir, app.dir()).args(arguments).arg("--env=API_TOKEN=s3cret").output().unwrap());
    assert!(shown.contains("\nCOLOUR=green\n") && shown.contains("\nAPI_TOKEN=[hidden]\n"), "{shown}");
    assert_eq!(
        shown.matches("config.ru:1:in").count() + shown.matches("other.ru:1:in").count(),
        1,
        "{shown}"
    );

    let refused = doctor(&test_dir, app.dir()).args(arguments).arg("--env=COLOUR").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused).contains("invalid value \"COLOUR\" in \"--env\": must be NAME=VALUE"),
        "{}",
        text(&refused)
    );
}

#[test]
fn settings_of_a_running_daemon_are_used_but_not_its_processes() {
    let lines = "passenger_app_env staging; passenger_env_var COLOUR green; passenger_startup_file rack.ru; \
                 passenger_app_type ruby;";
    let source = "raise 'no colour' unless ENV['COLOUR'] == 'green'
run ->(env) { [200, {}, [Process.pid.to_s]] }";
    let flag = |daemon: DaemonBuilder| daemon.flag("--spawn-method=direct");
    let setup = OneApp::custom(lines, flag, |app| app.file("rack.ru", source));
    let pid = setup.app_pid();
    let (status, report) = report(&setup.test_dir, setup.app.dir(), &[]);
    assert_eq!((status, report["ok"].as_bool()), (0, Some(true)), "{report:#}");
    assert_eq!(report["settings_of_daemon"], setup.daemon.pid());
    assert_eq!(report["variables_of_daemon"], setup.daemon.pid());
    assert_eq!(
        (&report["environment"], &report["type_reason"]),
        (&"staging".into(), &"as configured".into())
    );
    let steps = report["steps"].to_string();
    assert!(
        steps.contains("load done in ") && !steps.contains("fork"),
        "the flag of the running daemon applies: {steps}"
    );
    assert_ne!(report["response"]["pid"], pid);
    assert_eq!(setup.daemon.app_pids(), [pid]);
    assert!(
        setup.daemon.status().contains("Processed: 1 "),
        "it received no request: {}",
        setup.daemon.status()
    );
    let shown = text(&doctor(&setup.test_dir, setup.app.dir()).output().unwrap());
    let line = format!("Settings    : from the daemon with PID {}, which serves the app", setup.daemon.pid());
    assert!(shown.contains(&line), "{shown}");

    setup.app.write("rack.ru", "raise 'a bad deployment'");
    let (status, report) = self::report(&setup.test_dir, setup.app.dir(), &[]);
    assert_eq!(status, 1);
    assert!(report["diagnosis"]["cause"].as_str().unwrap().contains("a bad deployment"), "{report:#}");
    assert_eq!(setup.app_pid(), pid, "visitors notice nothing");
}

#[test]
fn a_generic_app_is_started_by_its_configured_command() {
    let setup = OneApp::of(Language::Generic);
    let pid = setup.app_pid();
    let (status, report) = report(&setup.test_dir, setup.app.dir(), &["--path=/pid"]);
    assert_eq!((status, report["type"].as_str()), (0, Some("generic")), "{report:#}");
    assert_ne!(report["response"]["pid"], pid);
}

#[test]
fn the_user_and_missing_permissions_are_reported() {
    if !is_root() {
        return skipped("the_user_and_missing_permissions_are_reported", "users are switched by root only");
    }
    let test_dir = TestDir::new();
    let app = test_dir.app("app").ruby("run ->(_) { [200, {}, []] }").owned_by("games");
    let (_, report) = report(&test_dir, app.dir(), &[]);
    assert_eq!(report["user"], "games");
    assert_eq!(report["user_reason"], format!("the owner of {}", app.path("config.ru").display()));
    assert!(!report["problems"].to_string().contains("may not enter"), "{report:#}");

    // Its owner can enter it; nginx cannot.
    std::fs::set_permissions(app.dir(), PermissionsExt::from_mode(0o700)).unwrap();
    let (status, report) = self::report(&test_dir, app.dir(), &[]);
    assert_eq!(status, 0, "{report:#}");
    if User::from_name("www-data").unwrap().is_some() {
        let problem =
            report["problems"].as_array().unwrap().iter().find(|each| each["code"] == "closed_to_nginx");
        let problem = problem.unwrap_or_else(|| panic!("{report:#}"));
        let (cause, remedy) = (problem["cause"].as_str().unwrap(), problem["remedy"].as_str().unwrap());
        assert!(cause.contains(&format!("\"www-data\" may not enter {}", app.dir().display())), "{cause}");
        assert!(remedy.contains(&format!("chmod o+x {}", app.dir().display())), "{remedy}");
    }

    let (status, report) = self::report(&test_dir, app.dir(), &["--user=nobody"]);
    let problem = format!("the app runs as the user nobody, who may not enter {}", app.dir().display());
    assert_eq!((status, report["diagnosis"]["cause"].as_str()), (1, Some(&*problem)));

    std::fs::set_permissions(app.dir(), PermissionsExt::from_mode(0o755)).unwrap();
    app.write("config.ru", "File.read('secret')");
    app.write("secret", "");
    std::fs::set_permissions(app.path("secret"), PermissionsExt::from_mode(0o600)).unwrap();
    let (_, report) = self::report(&test_dir, app.dir(), &[]);
    let problem =
        format!("the app runs as the user games, who may not read or write {}", app.path("secret").display());
    assert_eq!(report["diagnosis"]["cause"], problem);
}

#[test]
fn an_ordinary_user_may_test_an_own_app() {
    if !is_root() {
        return skipped("an_ordinary_user_may_test_an_own_app", "every other test does it");
    }
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Python).owned_by("games");
    let games = User::from_name("games").unwrap().unwrap();
    let mut command = doctor(&test_dir, app.dir());
    let output = command.uid(games.uid.as_raw()).gid(games.gid.as_raw()).output().unwrap();
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains("User        : games, because without root all apps run as you\n"), "{shown}");
    assert!(!private_directory(&shown).exists());
}

/// Starts it for an app that does not respond, and waits until the app is ready.
fn interruptible(test_dir: &TestDir, app: &Path) -> (std::process::Child, String) {
    let mut child = doctor(test_dir, app).stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    while !(shown.contains(": process ") && shown.ends_with(" is ready\n")) {
        assert_ne!(out.read_line(&mut shown).unwrap(), 0, "it has exited: {shown}");
    }
    // The reader is closed, as when the output goes to `head`.
    drop(out);
    (child, shown)
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    for which in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").ruby("run ->(_) { sleep }");
        let (mut child, shown) = interruptible(&test_dir, app.dir());
        signal(child.id(), which);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(!private_directory(&shown).exists(), "its directory is removed");
        assert_eq!(test_dir.processes(), [0; 0], "its processes have exited");
    }
}

#[test]
fn a_killed_doctor_leaves_no_process_behind() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").ruby("run ->(_) { sleep }");
    let (mut child, shown) = interruptible(&test_dir, app.dir());
    test_support::kill_9(child.id());
    child.wait().unwrap();
    eventually("the daemon and the app's processes have exited", || test_dir.processes().is_empty());
    // No process was left to remove it.
    std::fs::remove_dir_all(private_directory(&shown)).unwrap();
}

#[test]
fn it_says_what_was_found_and_why() {
    let test_dir = TestDir::new();
    let app = "def app(env, start):\n    start('200 OK', [])\n    return [b'found']\n";
    let app = test_dir.app("app").file("app.py", app).file("Procfile", "web: gunicorn app:app");
    python_venv(app.dir());
    let shown = text(&doctor(&test_dir, app.dir()).output().unwrap());
    let python = app.path("venv/bin/python");
    for line in [
        "Type        : python, because of app.py (it defines the application)\n",
        "Starts with : app.py\n",
        &format!(
            " runs app.py (found: it defines the application), with {} (virtual environment",
            python.display()
        ),
        "The app starts and responds.\n",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    // The app of a running daemon is found again.
    let _daemon = test_dir.daemon().start();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
    nginx.get("/").expect(200);
    let (status, report) = report(&test_dir, app.dir(), &[]);
    assert_eq!((status, &report["starts_with"]), (0, &"app.py".into()), "{report}");
}
