//! `passenger-config exec`: a command has what a process of the app has, and no user gains anything by it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output};

use nix::unistd::User;
use test_support::{
    Daemon, Language, ONE_APP_CONF, OneApp, TestDir, binary, eventually, for_each_language, is_root, skipped,
};

/// True, with a loud line, where the test cannot be run.
pub(crate) fn needs_root(test: &str) -> bool {
    if !is_root() {
        skipped(test, "users are switched by root only");
    }
    !is_root()
}

fn named(name: &str) -> User {
    User::from_name(name).unwrap().unwrap_or_else(|| panic!("there is no user {name}"))
}

pub(crate) fn words<'w>(app: &'w str, command: &[&'w str]) -> Vec<&'w str> {
    ["exec", app, "--"].into_iter().chain(command.iter().copied()).collect()
}

/// The tool against this daemon, with an environment of which nothing may reach the command.
pub(crate) fn tool(daemon: &Daemon, arguments: &[&str]) -> Command {
    let registry = daemon.admin_socket();
    let registry = registry.ancestors().nth(2).unwrap().to_path_buf();
    let mut command = Command::new(binary("passenger-config"));
    command.args(arguments).env_clear().env("OF_THE_CALLER", "1").env("PATH", "/nonexistent");
    command.env("PASSENGER_INSTANCE_REGISTRY_DIR", registry);
    command
}

#[track_caller]
pub(crate) fn printed(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "it is quiet");
    String::from_utf8(output.stdout).unwrap()
}

fn run(setup: &OneApp, command: &[&str]) -> Output {
    let dir = setup.app.dir().display().to_string();
    tool(&setup.daemon, &words(&dir, command)).output().unwrap()
}

/// Variables by name, without those of the loaders and of the shell.
fn variables(environment: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(environment.to_vec()).unwrap();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.filter(|(name, _)| !name.starts_with("FLYING_PASSENGER_") && *name != "_");
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

const ENVIRON_RUBY: &str = "run ->(_) { [200, {}, [ENV.map { |pair| pair.join('=') }.join(\"\\0\")]] }";
const ENVIRON_PYTHON: &str = r#"
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [open("/proc/self/environ", "rb").read()]
"#;
const ENVIRON_NODE: &str = r#"
const { readFileSync } = require("fs");
require("http").createServer((_, response) => response.end(readFileSync("/proc/self/environ"))).listen();
"#;

for_each_language! {
    [ruby, python, node]
    fn a_command_has_the_environment_of_a_process(language) {
        let lines = "passenger_app_env staging; passenger_env_var FRUIT 'a \"pear\"'; passenger_env_file .env;
            passenger_env_var LINES_OF_TEXT \"one\ntwo\";";
        let setup = OneApp::custom(
            lines,
            |daemon| daemon.variable("OF_THE_DAEMON", "/inherited".into()),
            |app| {
                let app = app.file(".env", "SECRET=hunter2\nexport EMPTY=\n");
                fs::set_permissions(app.path(".env"), fs::Permissions::from_mode(0o600)).unwrap();
                let app = match language {
                    Language::Ruby => app.ruby(ENVIRON_RUBY),
                    Language::Python => app.python(ENVIRON_PYTHON),
                    _ => app.node(ENVIRON_NODE),
                };
                if is_root() { app.owned_by("games") } else { app }
            },
        );
        let of_process = variables(setup.nginx.get("/").expect(200).text().as_bytes());
        let of_command = variables(printed(run(&setup, &["env", "-0"])).as_bytes());
        let expected = [("SECRET", "hunter2"), ("FRUIT", "a \"pear\""), ("LINES_OF_TEXT", "one\ntwo")];
        for (name, value) in expected.into_iter().chain([("OF_THE_DAEMON", "/inherited"), ("EMPTY", "")]) {
            assert_eq!(of_command.get(name).map(String::as_str), Some(value), "{name}");
        }
        // What Bundler or Ruby set in the process itself is not part of its start.
        let differs = |(name, value): &(&String, &String)| of_command.get(*name) != Some(*value);
        let differing: Vec<_> = of_process.iter().filter(differs).map(|(name, _)| name).collect();
        assert_eq!(differing, [""; 0], "{of_process:#?} {of_command:#?}");
        let added: Vec<_> = of_command.keys().filter(|name| !of_process.contains_key(*name)).collect();
        assert_eq!(added, [""; 0]);
    }
}

#[test]
fn a_command_has_the_identity_directory_and_limits_of_a_process() {
    if needs_root("a_command_has_the_identity_directory_and_limits_of_a_process") {
        return;
    }
    let lines = "passenger_app_file_descriptor_ulimit 77; passenger_no_new_privs on;";
    let setup = OneApp::app(lines, |app| app.standard(Language::Python).owned_by("games"));
    let pid = setup.app_pid();
    let of = |status: &str| {
        let names = ["Uid:", "Gid:", "Groups:", "Umask:", "NoNewPrivs:", "CapEff:", "SigIgn:", "SigBlk:"];
        let lines = status.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.filter(|line| !line.starts_with("SigIgn")).map(str::to_owned).collect::<Vec<_>>()
    };
    let status = printed(run(&setup, &["cat", "/proc/self/status"]));
    assert_eq!(of(&status), of(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap()));
    assert_eq!(
        printed(run(&setup, &["sh", "-c", "ulimit -n; pwd"])),
        format!("77\n{}\n", setup.app.dir().display())
    );
    let limits = printed(run(&setup, &["cat", "/proc/self/limits"]));
    assert_eq!(limits, fs::read_to_string(format!("/proc/{pid}/limits")).unwrap());
}

#[test]
fn the_exit_status_is_that_of_the_command() {
    let setup = OneApp::of(Language::Python);
    setup.nginx.get("/").expect(200);
    let status = |command: &[&str]| run(&setup, command).status;
    assert_eq!(status(&["sh", "-c", "exit 3"]).code(), Some(3));
    assert_eq!(status(&["sh", "-c", "kill -TERM $$"]).signal(), Some(15));
    // A program that does not expect an ignored SIGPIPE ends by it.
    assert_eq!(
        status(&["bash", "-c", "yes | head -n1; echo ${PIPESTATUS[0]} | grep -q 141"]).code(),
        Some(0)
    );
    for (command, code, why) in [
        ("no-such-program", 127, "cannot run \"no-such-program\""),
        ("./missing", 127, "cannot run \"./missing\""),
        ("/etc/passwd", 126, "cannot run \"/etc/passwd\""),
    ] {
        let output = run(&setup, &[command]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{output:?}");
    }
}

#[test]
fn arguments_and_standard_input_arrive_unchanged() {
    let setup = OneApp::of(Language::Python);
    setup.nginx.get("/").expect(200);
    let nasty = ["a\nb", "$HOME `id` \"'", "--help", "", "-- x"];
    let command: Vec<_> = ["printf", "%s|"].into_iter().chain(nasty).collect();
    assert_eq!(printed(run(&setup, &command)), nasty.map(|word| format!("{word}|")).concat());
    let open = "exec 9</etc/hostname; echo text | exec \"$0\" \"$@\"";
    let dir = setup.app.dir().display().to_string();
    let inner = "cat; ls /proc/self/fd | tr '\\n' ' '";
    let tool = tool(&setup.daemon, &[]).get_program().to_owned();
    let output = Command::new("/bin/bash")
        .args(["-c", open])
        .arg(tool)
        .args(words(&dir, &["sh", "-c", inner]))
        .env("PASSENGER_INSTANCE_REGISTRY_DIR", setup.daemon.admin_socket().ancestors().nth(2).unwrap())
        .output();
    assert_eq!(printed(output.unwrap()), "text\n0 1 2 3 ", "ls itself opens the directory");
}

#[test]
fn the_configured_interpreter_is_found_first() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Python);
    fs::create_dir_all(app.path("venv/bin")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/python3", app.path("venv/bin/python3")).unwrap();
    let daemon = test_dir.daemon().start();
    for (lines, found) in [
        (
            format!("passenger_python {};", app.path("venv/bin/python3").display()),
            app.path("venv/bin/python3"),
        ),
        ("passenger_python python3;".to_owned(), "/usr/bin/python3".into()),
    ] {
        let group = format!("{lines} passenger_app_group_name {};", found.display().to_string().len());
        let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", &group)).start();
        nginx.get("/").expect(200);
        let name = found.display().to_string().len().to_string();
        let output = tool(&daemon, &words(&name, &["sh", "-c", "command -v python3"])).output();
        assert_eq!(printed(output.unwrap()), format!("{}\n", found.display()));
    }
}

#[test]
fn only_root_and_the_apps_user_may_run_commands() {
    if needs_root("only_root_and_the_apps_user_may_run_commands") {
        return;
    }
    let setup = OneApp::custom(
        "passenger_env_var SECRET hunter2;",
        |daemon| daemon.flag("--status-group=news"),
        |app| app.standard(Language::Python).owned_by("games"),
    );
    setup.nginx.get("/").expect(200);
    let name = format!("{} (production)", setup.app.dir().display());
    let by = |user: &str| {
        let user = named(user);
        let command = words(&name, &["sh", "-c", "id -un; echo $SECRET; pwd"]);
        tool(&setup.daemon, &command).uid(user.uid.as_raw()).gid(user.gid.as_raw()).output().unwrap()
    };
    assert_eq!(printed(by("games")), format!("games\nhunter2\n{}\n", setup.app.dir().display()));
    for other in ["mail", "news", "nobody"] {
        let output = by(other);
        assert_eq!(output.status.code(), Some(125), "{other}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(why.contains("only root and the app's user") && !why.contains("hunter2"), "{other}: {why}");
    }
}

#[test]
fn a_command_for_an_app_of_root_does_not_run_as_root() {
    if needs_root("a_command_for_an_app_of_root_does_not_run_as_root") {
        return;
    }
    let setup = OneApp::app("", |app| app.standard(Language::Python).owned_by("root"));
    setup.nginx.get("/").expect(200);
    assert_eq!(printed(run(&setup, &["id", "-un"])), "nobody\n");
    // The startup file decides, whoever owns the rest.
    std::os::unix::fs::chown(setup.app.path("passenger_wsgi.py"), Some(5), None).unwrap();
    assert_eq!(printed(run(&setup, &["id", "-un"])), "games\n");
    fs::set_permissions(setup.app.dir(), fs::Permissions::from_mode(0o700)).unwrap();
    let output = run(&setup, &["id"]);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("the user \"games\" cannot enter the directory")
    );
}

#[test]
fn a_user_that_reaches_nginxs_socket_is_refused() {
    if needs_root("a_user_that_reaches_nginxs_socket_is_refused") {
        return;
    }
    let setup = OneApp::app("", |app| app.standard(Language::Python).owned_by("www-data"));
    assert_eq!(setup.nginx.get("/").status(), 500);
    let output = run(&setup, &["id"]);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--allow-app-users=www-data"), "{output:?}");
    let allowed = |daemon: test_support::DaemonBuilder| daemon.flag("--allow-app-users=www-data");
    let setup = OneApp::custom("", allowed, |app| app.standard(Language::Python).owned_by("www-data"));
    setup.nginx.get("/").expect(200);
    assert_eq!(printed(run(&setup, &["id", "-un"])), "www-data\n");
}

/// A daemon of an ordinary user cannot make root run anything as somebody else.
#[test]
fn root_runs_commands_of_an_ordinary_daemon_as_its_user() {
    if needs_root("root_runs_commands_of_an_ordinary_daemon_as_its_user") {
        return;
    }
    let test_dir = TestDir::new();
    let games = named("games");
    let app = test_dir.app("app").standard(Language::Python).owned_by("mail");
    for place in [test_dir.path("."), test_dir.path("registry")] {
        fs::create_dir_all(&place).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    }
    std::os::unix::fs::chown(test_dir.path("registry"), Some(games.uid.as_raw()), None).unwrap();
    fs::set_permissions(test_dir.path("registry"), fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = test_dir.daemon().as_user(games.uid.as_raw(), games.gid.as_raw());
    let daemon = daemon.flag("--socket-mode=0666").start();
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "passenger_user mail;")).start();
    nginx.get("/").expect(200);
    let dir = app.dir().display().to_string();
    let output = tool(&daemon, &words(&dir, &["id", "-u"])).output().unwrap();
    assert_eq!(printed(output), format!("{}\n", games.uid));
}

#[test]
fn an_app_need_not_have_a_process() {
    let setup = OneApp::of(Language::Python);
    let output = run(&setup, &["true"]);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("first request"), "{output:?}");
    let name = format!("{} (production)", setup.app.dir().display());
    eventually("nginx has sent the names of its apps", || {
        let output = tool(&setup.daemon, &words(&name, &["true"])).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        String::from_utf8_lossy(&output.stderr).contains("is configured, but")
    });
    let pid = setup.app_pid().to_string();
    assert!(setup.daemon.tool("passenger-config", &["detach-process", &pid]).status.success());
    assert_eq!(printed(run(&setup, &["echo", "ran"])), "ran\n");
    let output = tool(&setup.daemon, &words("no\nsuch\x1b app", &["true"])).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(why.lines().count(), 1, "{why}");
    assert!(!why.contains('\x1b'), "{why:?}");
}

#[test]
fn without_a_daemon_the_command_is_not_run() {
    let mut setup = OneApp::of(Language::Python);
    setup.nginx.get("/").expect(200);
    let mut command = tool(&setup.daemon, &words("app", &["true"]));
    setup.nginx.stop();
    setup.daemon.stop();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("flying-passenger is not running"),
        "{output:?}"
    );
}
