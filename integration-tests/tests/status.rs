//! `passenger-status` shows what people's scripts read, line by line.

use stage::{Connection, Language, Request, Scene, Stage, eventually};

#[test]
fn has_the_documented_layout() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=6"));
    for _ in 0..3 {
        scene.app_pid();
    }
    let pid = scene.app_pid();
    let status = scene.daemon.status();
    let root = scene.app.dir().display().to_string();
    let documented = [
        "Version : *",
        "Date    : *",
        "Instance: *",
        "----------- General information -----------",
        "Max pool size : 6",
        "App groups    : 1",
        "Processes     : 1",
        "Requests in top-level queue : 0",
        "",
        "----------- Application groups -----------",
        &format!("{root} (production):"),
        &format!("  App root: {root}"),
        "  Requests in queue: 0",
        &format!("  * PID: {pid:<5}   Sessions: 0       Processed: 4       Uptime: *s"),
        "    CPU: *%*Memory  : *M*Last used: * ago",
        "",
    ];
    let lines: Vec<&str> = status.lines().collect();
    let mut at = 0;
    for pattern in documented {
        let found = lines[at..].iter().position(|line| fits(line.trim_end(), pattern));
        let found = found.unwrap_or_else(|| panic!("no line {pattern:?} from line {at} on in\n{status}"));
        assert!(found <= 1, "{} lines too many before {pattern:?} in\n{status}", found);
        at += found + 1;
    }
}

#[test]
fn shows_sessions_and_waiting_requests() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=1"));
    let ask = || -> Connection {
        let mut client = scene.nginx.connect();
        client.send(Request::get("/wait?name=gate").bytes("close"));
        client
    };
    let mut clients = [ask(), ask(), ask()];
    eventually("one is served, two wait", || {
        let status = scene.daemon.status();
        status.contains("Requests in queue: 2") && status.contains("Sessions: 1 ")
    });
    scene.stage.open_gate("gate");
    for client in &mut clients {
        client.read_response().expect(200);
    }
    eventually("all is quiet", || {
        let status = scene.daemon.status();
        status.contains("Requests in queue: 0") && status.contains("Sessions: 0 ")
    });
}

#[test]
fn no_header_begins_with_the_pool() {
    let scene = Scene::of(Language::Ruby);
    let output = scene.daemon.tool("passenger-status", &["--no-header"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.trim_start().starts_with("----------- General information"), "{text}");
}

#[test]
fn without_a_daemon_it_says_so() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("registry")).unwrap();
    let output = std::process::Command::new(stage::binary("passenger-status"))
        .env("PASSENGER_INSTANCE_REGISTRY_DIR", stage.path("registry"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!output.stderr.is_empty(), "it says why");
}

/// `*` in the pattern stands for anything.
fn fits(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*').peekable();
    // A pattern may begin with a literal star, which is how a process's line begins.
    let literal_star = pattern.starts_with("  * ");
    let mut rest = line;
    if literal_star {
        let first = parts.next().unwrap();
        let second = parts.next().unwrap();
        let Some(after) = rest.strip_prefix(&format!("{first}*{second}")) else {
            return false;
        };
        rest = after;
    } else {
        let Some(after) = rest.strip_prefix(parts.next().unwrap()) else {
            return false;
        };
        rest = after;
    }
    let mut last_was_star = false;
    while let Some(part) = parts.next() {
        last_was_star = part.is_empty() && parts.peek().is_none();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || last_was_star
}
