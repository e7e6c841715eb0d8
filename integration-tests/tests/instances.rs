//! Several daemons on a machine, or none: the tools list them and select one by name.

use std::process::{Command, Output};

use serde_json::Value;
use stage::{Daemon, Language, Scene, Stage, binary, eventually};

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a tool where no daemon is.
fn alone(stage: &Stage, tool: &str, arguments: &[&str]) -> Output {
    let _there_already = std::fs::create_dir(stage.path("registry"));
    let mut command = Command::new(binary(tool));
    command.args(arguments).env("PASSENGER_INSTANCE_REGISTRY_DIR", stage.path("registry")).output().unwrap()
}

fn list(daemon: &Daemon) -> Vec<Value> {
    let listed = daemon.tool("passenger-config", &["list-instances", "--json"]);
    assert!(listed.status.success(), "{listed:?}");
    serde_json::from_slice(&listed.stdout).unwrap()
}

#[test]
fn instances_are_listed_with_name_pid_and_socket() {
    let stage = Stage::new();
    let daemon = stage.daemon().start();
    let listed = list(&daemon);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["pid"], daemon.pid());
    let (name, socket) = (listed[0]["name"].as_str().unwrap(), stage.socket().display().to_string());
    let text = told(&daemon.tool("passenger-config", &["list-instances"]));
    assert_eq!(text.lines().next(), Some("Name                       PID      Description"));
    assert_eq!(text.lines().nth(1), Some(&*format!("{name:<25}  {:<7}  {socket}", daemon.pid())));
}

#[test]
fn quiet_suppresses_the_message_that_no_daemon_runs() {
    let stage = Stage::new();
    let list =
        |arguments: &[&str]| alone(&stage, "passenger-config", &[&["list-instances"], arguments].concat());
    for (arguments, expected) in [
        (&[][..], "There are no flying-passenger instances running.\n"),
        (&["--quiet"], ""),
        (&["-q"], ""),
        (&["--json"], "[]\n"),
    ] {
        let output = list(arguments);
        assert_eq!((output.status.code(), &*told(&output)), (Some(0), expected), "{arguments:?}");
    }
}

#[test]
fn a_tool_names_the_registries_without_a_daemon() {
    let stage = Stage::new();
    let root = stage.dir().display().to_string();
    for (tool, arguments) in [
        ("passenger-status", &[][..]),
        ("passenger-config", &["restart-app", &root]),
        ("passenger-config", &["reopen-logs"]),
    ] {
        let output = alone(&stage, tool, arguments);
        assert_eq!(output.status.code(), Some(1));
        let looked = format!("not registered in {}", stage.path("registry").display());
        assert!(told(&output).contains(&looked), "{}", told(&output));
    }
    let content = ["restart-app", &root, "--ignore-passenger-not-running"];
    let output = alone(&stage, "passenger-config", &content);
    assert_eq!((output.status.code(), &*told(&output)), (Some(0), "flying-passenger is not running.\n"));
}

#[test]
fn each_command_accepts_the_beginning_of_a_name() {
    let scene = Scene::of(Language::Ruby);
    let pid = scene.app_pid().to_string();
    let second = format!("--socket-file={}", scene.stage.path("second.sock").display());
    let second = scene.stage.daemon().flag(&second).start();
    let all = list(&scene.daemon);
    assert_eq!(all.len(), 2);
    let first = all.iter().find(|each| each["pid"] == scene.daemon.pid()).unwrap()["name"].as_str().unwrap();
    let root = scene.app.dir().display().to_string();
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
        let ambiguous = scene.daemon.tool("passenger-config", arguments);
        assert_eq!(ambiguous.status.code(), Some(1), "{arguments:?}");
        assert!(told(&ambiguous).contains("several instances are running"), "{}", told(&ambiguous));
        let chosen = scene.daemon.tool("passenger-config", &[arguments, &[&name]].concat());
        assert!(told(&chosen).contains(expected), "{arguments:?}: {}", told(&chosen));
    }
    eventually("another process has taken over", || scene.app_pid().to_string() != pid);
    let pid = scene.app_pid().to_string();
    let detached = scene.daemon.tool("passenger-config", &["detach-process", &pid, "--instance", first]);
    assert_eq!(told(&detached), format!("Process {pid} detached.\n"));

    let forgotten = scene.daemon.tool("passenger-config", &["forget-app", "--name", &group, &name]);
    assert_eq!(told(&forgotten), format!("Forgotten {group}\n"));
    scene.app_pid();

    let status = scene.daemon.tool("passenger-status", &[]);
    assert_eq!(status.status.code(), Some(1));
    assert!(told(&status).contains(&second.pid().to_string()), "{}", told(&status));
    assert!(told(&scene.daemon.tool("passenger-status", &[first])).contains(&root));
    let nobody = told(&scene.daemon.tool("passenger-status", &["no-such-name"]));
    assert!(nobody.contains("no running instance has a name that begins with \"no-such-name\""), "{nobody}");
}
