//! `passenger-status`: the lines that scripts read.

use test_support::{Connection, FakeInstance, Language, OneApp, Request, TestDir, eventually};

#[test]
fn has_the_documented_layout() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=6"));
    for _ in 0..3 {
        setup.app_pid();
    }
    let pid = setup.app_pid();
    let status = setup.daemon.status();
    let root = setup.app.dir().display().to_string();
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
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=1"));
    let ask = || -> Connection {
        let mut client = setup.nginx.connect();
        client.send(Request::get("/wait?name=gate").bytes("close"));
        client
    };
    let mut clients = [ask(), ask(), ask()];
    eventually("one is served, two wait", || {
        let status = setup.daemon.status();
        status.contains("Requests in queue: 2") && status.contains("Sessions: 1 ")
    });
    setup.test_dir.open_gate("gate");
    for client in &mut clients {
        client.read_response().expect(200);
    }
    eventually("no request is active", || {
        let status = setup.daemon.status();
        status.contains("Requests in queue: 0") && status.contains("Sessions: 0 ")
    });
}

#[test]
fn no_header_option_starts_with_the_pool() {
    let setup = OneApp::of(Language::Ruby);
    let output = setup.daemon.tool("passenger-status", &["--no-header"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.trim_start().starts_with("----------- General information"), "{text}");
}

#[test]
fn the_status_reports_a_missing_daemon() {
    let test_dir = TestDir::new();
    std::fs::create_dir(test_dir.path("registry")).unwrap();
    let output = std::process::Command::new(test_support::binary("passenger-status"))
        .env("PASSENGER_INSTANCE_REGISTRY_DIR", test_dir.path("registry"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!output.stderr.is_empty(), "it says why");
}

/// `*` in the pattern matches anything.
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

#[test]
fn shows_each_active_request_with_its_phase() {
    let setup = OneApp::with(Language::Python, "", |daemon| daemon.flag("--max-pool-size=1"));
    let pid = setup.app_pid();
    let mut first = setup.nginx.connect();
    first.send(Request::get("/wait?name=gate&a=1").bytes("close"));
    let requests = || {
        let output = setup.daemon.tool("passenger-status", &["--show=server"]).stdout;
        let shown: serde_json::Value = serde_json::from_slice(&output).unwrap();
        shown["requests"].as_array().unwrap().clone()
    };
    eventually("it is with the app", || requests().iter().any(|request| request["phase"] == "app"));
    let mut second = setup.nginx.connect();
    second.send(Request::post("/wait?name=gate", b"x").bytes("close"));
    eventually("the second request waits", || requests().len() == 2);
    let seen = requests();
    let fields = |at: usize| {
        ["method", "path", "client", "phase"].map(|key| seen[at][key].as_str().unwrap().to_owned())
    };
    assert_eq!(fields(0), ["GET", "/wait?name=gate&a=1", "127.0.0.1", "app"]);
    assert_eq!(fields(1), ["POST", "/wait?name=gate", "127.0.0.1", "queued"]);
    assert_eq!((seen[0]["pid"].as_u64(), seen[1]["pid"].as_u64()), (Some(u64::from(pid)), None));
    assert_eq!(seen[0]["app"], format!("{} (production)", setup.app.dir().display()));
    assert!(seen[0]["age_ms"].as_u64() >= seen[1]["age_ms"].as_u64());

    let text = setup.daemon.tool("passenger-status", &["--show=requests"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("    GET /wait?name=gate&a=1\n") && text.contains("Client: 127.0.0.1\n"), "{text}");
    let times = text.lines().find(|line| line.starts_with("  Queue: ")).unwrap_or_else(|| panic!("{text}"));
    assert!(times.contains(" ms (95 % within ") && times.contains("   Start: "), "{times}");
    let pool = setup.daemon.tool("passenger-status", &["--show=json"]).stdout;
    let pool: serde_json::Value = serde_json::from_slice(&pool).unwrap();
    let times = &pool["groups"][0]["times"];
    assert_eq!((&times["queue"]["count"], &times["spawn"]["count"]), (&2.into(), &1.into()), "{times}");
    setup.test_dir.open_gate("gate");
    first.read_response().expect(200);
    second.read_response().expect(200);
    eventually("no request is active", || requests().is_empty());
    let text = setup.daemon.tool("passenger-status", &["--show=requests", "--no-header"]).stdout;
    assert_eq!(text, b"There are no active requests.\n");
}

#[test]
fn a_response_to_a_slow_client_is_shown_as_responding() {
    let setup = OneApp::of(Language::Python);
    let mut client = setup.nginx.connect();
    client.send(Request::get("/stream?name=more").bytes("close"));
    let phase = || {
        let output = setup.daemon.tool("passenger-status", &["--show=server"]).stdout;
        let shown: serde_json::Value = serde_json::from_slice(&output).unwrap();
        shown["requests"][0]["phase"].as_str().unwrap_or_default().to_owned()
    };
    eventually("half of the response has arrived", || phase() == "responding");
    setup.test_dir.open_gate("more");
    client.read_response().expect(200);
}

#[test]
fn the_xml_has_the_fields_that_scripts_read() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    let output = setup.daemon.tool("passenger-status", &["--show=xml"]).stdout;
    let script = "import sys, xml.etree.ElementTree as tree
info = tree.parse(sys.stdin).getroot()
process = info.find('supergroups/supergroup/group/processes/process')
print(info.get('version'), info.find('process_count').text, process.find('pid').text, process.find('processed').text)
";
    let mut child = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &output).unwrap();
    let read = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap(), format!("3 1 {pid} 1\n"));
}

fn shown(setup: &OneApp, arguments: &[&str]) -> String {
    let output = setup.daemon.tool("passenger-status", arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn colours_are_used_on_terminals_or_when_forced() {
    let setup = OneApp::of(Language::Python);
    assert!(!shown(&setup, &["--show=pool"]).contains('\x1b'));
    let bar = "\x1b[44m\x1b[33m\x1b[1m----------- General information -----------\x1b[0m\n";
    assert!(shown(&setup, &["--show=pool", "--force-colors"]).contains(bar));
}

#[test]
fn verbose_shows_the_addresses_of_processes() {
    let setup = OneApp::with(Language::Generic, "", |daemon| daemon.flag("--max-pool-size=1"));
    let pid = setup.app_pid();
    let pool: serde_json::Value = serde_json::from_str(&shown(&setup, &["--show=json"])).unwrap();
    assert_eq!(pool["groups"][0]["start_command"], "node server.js");
    let text = shown(&setup, &["--verbose"]);
    assert!(
        shown(&setup, &["-v"]).contains("    URL     : http://127.0.0.1:"),
        "short and long are the same"
    );
    let url = text.lines().find_map(|line| line.strip_prefix("    URL     : http://127.0.0.1:"));
    let port: u16 = url.expect("the process has a URL").parse().unwrap();
    let client = std::net::TcpStream::connect(("127.0.0.1", port));
    assert!(client.is_ok(), "process {pid} listens there: {client:?}");
    assert!(!shown(&setup, &[]).contains("URL     :"));
}

#[test]
fn verbose_shows_the_processes_that_requests_wait_for() {
    let lines = "passenger_app_start_command 'sh serve.sh'; passenger_start_timeout 30;";
    let serve = "until [ -e scratch/go ]; do sleep 0.01; done; exec node server.js";
    let setup = OneApp::custom(
        lines,
        |daemon| daemon,
        |app| {
            let (name, source) = ("server.js", include_str!("../apps/app.js"));
            app.file(name, source).file("serve.sh", serve)
        },
    );
    let mut client = setup.nginx.connect();
    client.send(Request::get("/pid").bytes("close"));
    let waiting =
        format!("Requests in top-level queue : 1\n  1: {} (production)\n", setup.app.dir().display());
    eventually("the request waits", || shown(&setup, &["--verbose"]).contains(&waiting));
    assert!(!shown(&setup, &[]).contains("  1: "));
    std::fs::write(setup.test_dir.scratch("go"), "").unwrap();
    client.read_response().expect(200);
}

#[test]
fn watch_repeats_the_status_until_interrupted() {
    let setup = OneApp::of(Language::Python);
    for arguments in [&["--watch"][..], &["--watch", "1"]] {
        let mut child = test_support::interruptible("passenger-status")
            .args(arguments)
            .env("PASSENGER_INSTANCE_REGISTRY_DIR", setup.test_dir.path("registry"))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        for _ in 0..2 {
            let mut screen = Vec::new();
            // The instance's name may have the letter, too.
            while !screen.ends_with(b"\x1b[J") {
                let came = std::io::BufRead::read_until(&mut out, b'J', &mut screen).unwrap();
                assert_ne!(came, 0, "it has ended: {}", String::from_utf8_lossy(&screen));
            }
            let screen = String::from_utf8(screen).unwrap();
            assert!(screen.starts_with("\x1b[HVersion : "), "{screen:?}");
        }
        test_support::signal(child.id(), nix::sys::signal::Signal::SIGINT);
        assert!(!child.wait().unwrap().success());
    }
}

#[test]
fn backtraces_name_their_alternatives() {
    let setup = OneApp::of(Language::Python);
    let output = setup.daemon.tool("passenger-status", &["--show=backtraces"]);
    assert_eq!(output.status.code(), Some(1));
    let reported = String::from_utf8(output.stderr).unwrap();
    assert!(reported.contains("--show=requests") && reported.contains("kill -QUIT PID"), "{reported}");
}

#[test]
fn a_refusal_by_the_daemon_sets_the_exit_status() {
    let test_dir = TestDir::new();
    let refusing = FakeInstance::answering(&test_dir.path("registry"), 503, "{\"message\": \"not now\"}");
    let output = std::process::Command::new(test_support::binary("passenger-status"))
        .env("PASSENGER_INSTANCE_REGISTRY_DIR", test_dir.path("registry"))
        .output()
        .unwrap();
    let reported = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*reported), (Some(2), "passenger-status: not now\n"));
    drop(refusing);
}
