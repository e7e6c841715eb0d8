//! Several daemons on a machine, or none: the tools list them and select one by name.

use std::process::{Command, Output};

use serde_json::Value;
use test_support::{Daemon, Language, OneApp, TestDir, binary, eventually};

fn reported(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a tool where no daemon is.
fn alone(test_dir: &TestDir, tool: &str, arguments: &[&str]) -> Output {
    let _there_already = std::fs::create_dir(test_dir.path("registry"));
    let mut command = Command::new(binary(tool));
    command
        .args(arguments)
        .env("PASSENGER_INSTANCE_REGISTRY_DIR", test_dir.path("registry"))
        .output()
        .unwrap()
}

fn list(daemon: &Daemon) -> Vec<Value> {
    let listed = daemon.tool("passenger-config", &["list-instances", "--json"]);
    assert!(listed.status.success(), "{listed:?}");
    serde_json::from_slice(&listed.stdout).unwrap()
}

#[test]
fn instances_are_listed_with_name_pid_and_socket() {
    let test_dir = TestDir::new();
    let daemon = test_dir.daemon().start();
    let listed = list(&daemon);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["pid"], daemon.pid());
    let (name, socket) = (listed[0]["name"].as_str().unwrap(), test_dir.socket().display().to_string());
    let text = reported(&daemon.tool("passenger-config", &["list-instances"]));
    assert_eq!(text.lines().next(), Some("Name                       PID      Description"));
    assert_eq!(text.lines().nth(1), Some(&*format!("{name:<25}  {:<7}  {socket}", daemon.pid())));
}

#[test]
fn quiet_suppresses_the_message_that_no_daemon_runs() {
    let test_dir = TestDir::new();
    let list =
        |arguments: &[&str]| alone(&test_dir, "passenger-config", &[&["list-instances"], arguments].concat());
    for (arguments, expected) in [
        (&[][..], "There are no flying-passenger instances running.\n"),
        (&["--quiet"], ""),
        (&["-q"], ""),
        (&["--json"], "[]\n"),
    ] {
        let output = list(arguments);
        assert_eq!((output.status.code(), &*reported(&output)), (Some(0), expected), "{arguments:?}");
    }
}

#[test]
fn a_tool_names_the_registries_without_a_daemon() {
    let test_dir = TestDir::new();
    let root = test_dir.dir().display().to_string();
    for (tool, arguments) in [
        ("passenger-status", &[][..]),
        ("passenger-config", &["restart-app", &root]),
        ("passenger-config", &["reopen-logs"]),
    ] {
        let output = alone(&test_dir, tool, arguments);
        assert_eq!(output.status.code(), Some(1));
        let looked = format!("not registered in {}", test_dir.path("registry").display());
        assert!(reported(&output).contains(&looked), "{}", reported(&output));
    }
    let content = ["restart-app", &root, "--ignore-passenger-not-running"];
    let output = alone(&test_dir, "passenger-config", &content);
    assert_eq!((output.status.code(), &*reported(&output)), (Some(0), "flying-passenger is not running.\n"));
}

#[test]
fn each_command_accepts_the_beginning_of_a_name() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid().to_string();
    let second = format!("--socket-file={}", setup.test_dir.path("second.sock").display());
    let second = setup.test_dir.daemon().flag(&second).start();
    let all = list(&setup.daemon);
    assert_eq!(all.len(), 2);
    let first = all.iter().find(|each| each["pid"] == setup.daemon.pid()).unwrap()["name"].as_str().unwrap();
    let root = setup.app.dir().display().to_string();
    let group = format!("{root} (production)");
    // Names are random: two may begin with the same letter, but not with the same seven.
    let name = format!("--instance={}", &first[..7]);
    for (arguments, expected) in [
        (&["settings"][..], "max_pool_size"),
        (&["config", "--json"], "\"max_pool_size\""),
        (&["api-call", "GET", "/ping.json"], "ok"),
        (&["ask-process", &pid, "/pid"], &pid),
        (&["spawn-error", "0badcafe"], "no failed start of this daemon's router has this ID"),
        (&["reopen-logs"], "The log file was reopened"),
        (&["pause-app", &root], "Paused "),
        (&["maintenance-app", &root], "Under maintenance: "),
        (&["resume-app", "--name", &group], "Resumed "),
        (&["resume-app", "/nowhere", "--ignore-app-not-running"], "no running app matches"),
        (&["forget-app", "/nowhere", "--ignore-app-not-running"], "no running app matches"),
        (&["restart-app", &root], "Restarting "),
    ] {
        let ambiguous = setup.daemon.tool("passenger-config", arguments);
        assert_eq!(ambiguous.status.code(), Some(1), "{arguments:?}");
        assert!(reported(&ambiguous).contains("several instances are running"), "{}", reported(&ambiguous));
        let chosen = setup.daemon.tool("passenger-config", &[arguments, &[&name]].concat());
        assert!(reported(&chosen).contains(expected), "{arguments:?}: {}", reported(&chosen));
    }
    eventually("another process has taken over", || setup.app_pid().to_string() != pid);
    let pid = setup.app_pid().to_string();
    let detached = setup.daemon.tool("passenger-config", &["detach-process", &pid, "--instance", first]);
    assert_eq!(reported(&detached), format!("Process {pid} detached.\n"));

    let forgotten = setup.daemon.tool("passenger-config", &["forget-app", "--name", &group, &name]);
    assert_eq!(reported(&forgotten), format!("Forgotten {group}\n"));
    setup.app_pid();

    let status = setup.daemon.tool("passenger-status", &[]);
    assert_eq!(status.status.code(), Some(1));
    assert!(reported(&status).contains(&second.pid().to_string()), "{}", reported(&status));
    assert!(reported(&setup.daemon.tool("passenger-status", &[first])).contains(&root));
    let nobody = reported(&setup.daemon.tool("passenger-status", &["no-such-name"]));
    assert!(nobody.contains("no running instance has a name that begins with \"no-such-name\""), "{nobody}");
}
