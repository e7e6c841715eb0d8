//! App modes, paused and maintenance: requests wait or get a 503, and other apps are not affected.

use test_support::{Connection, Language, OneApp, Request, TestDir, eventually, is_alive};

/// Runs `passenger-config`, which must succeed; what it prints.
fn order(setup: &OneApp, arguments: &[&str]) -> String {
    let output = setup.daemon.tool("passenger-config", arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The app's directory as an argument.
fn root(setup: &OneApp) -> String {
    setup.app.dir().display().to_string()
}

/// Asks without waiting for the answer.
fn ask(setup: &OneApp, path: &str) -> Connection {
    let mut client = setup.nginx.connect();
    client.send(Request::get(path).bytes("close"));
    client
}

fn waiting(setup: &OneApp, requests: usize) {
    let line = format!("Requests in queue: {requests}\n");
    eventually(&format!("{requests} requests wait"), || setup.daemon.status().contains(&line));
}

#[test]
fn requests_of_a_paused_app_wait_and_are_served_afterwards() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    let root = root(&setup);
    assert_eq!(order(&setup, &["pause-app", &root]), format!("Paused {root} (production)\n"));
    assert!(setup.daemon.status().contains("  (paused: requests wait)\n"));
    let mut clients = [ask(&setup, "/pid"), ask(&setup, "/pid"), ask(&setup, "/pid")];
    waiting(&setup, 3);
    let asked = setup.daemon.tool("passenger-config", &["ask-process", &pid.to_string(), "/pid"]);
    assert!(asked.status.success(), "an administrator is answered: {asked:?}");
    order(&setup, &["resume-app", &root]);
    for client in &mut clients {
        assert_eq!(client.read_response().expect(200).text().trim(), pid.to_string());
    }
    assert!(!setup.daemon.status().contains("paused"));
}

#[test]
fn what_a_process_works_on_when_its_app_is_paused_is_answered() {
    let setup = OneApp::of(Language::Python);
    let mut busy = ask(&setup, "/wait?name=gate");
    eventually("it is working", || setup.daemon.status().contains("Sessions: 1 "));
    order(&setup, &["pause-app", &root(&setup)]);
    let mut next = ask(&setup, "/pid");
    waiting(&setup, 1);
    setup.test_dir.open_gate("gate");
    busy.read_response().expect(200);
    eventually("the process is free", || setup.daemon.status().contains("Sessions: 0 "));
    waiting(&setup, 1);
    order(&setup, &["resume-app", &root(&setup)]);
    next.read_response().expect(200);
}

#[test]
fn maintenance_answers_new_and_waiting_requests_at_once() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=1"));
    let (pid, root) = (setup.app_pid(), root(&setup));
    let mut busy = ask(&setup, "/wait?name=gate");
    eventually("it is working", || setup.daemon.status().contains("Sessions: 1 "));
    let mut waits = ask(&setup, "/");
    waiting(&setup, 1);
    order(&setup, &["maintenance-app", &root, "--retry-after", "120"]);
    let turned_away = waits.read_response().expect(503);
    assert_eq!(turned_away.header("Retry-After"), Some("120"));
    assert!(turned_away.text().contains("under maintenance"), "{}", turned_away.text());
    setup.test_dir.open_gate("gate");
    busy.read_response().expect(200);

    let page = setup.test_dir.path("page.html");
    std::fs::write(&page, "<p>Back at noon</p>").unwrap();
    order(&setup, &["maintenance-app", &root, "--page", &page.display().to_string()]);
    let page = setup.nginx.get("/").expect(503);
    assert_eq!((page.text(), page.header("Retry-After")), ("<p>Back at noon</p>".to_owned(), None));
    assert!(setup.daemon.status().contains("  (maintenance: requests are refused)\n"));
    order(&setup, &["resume-app", &root]);
    assert_eq!(setup.app_pid(), pid, "the process was there all the time");
}

#[test]
fn the_mode_survives_a_router_restart() {
    let setup = OneApp::of(Language::Python);
    let (pid, root) = (setup.app_pid(), root(&setup));
    order(&setup, &["pause-app", &root]);
    setup.daemon.kill_router();
    let mut client = ask(&setup, "/pid");
    waiting(&setup, 1);
    order(&setup, &["maintenance-app", &root]);
    client.read_response().expect(503);
    setup.daemon.kill_router();
    setup.nginx.get("/").expect(503);
    order(&setup, &["resume-app", &root]);
    setup.daemon.kill_router();
    assert_eq!(setup.app_pid(), pid);
}

#[test]
fn an_app_can_be_closed_before_its_first_request() {
    let setup = OneApp::with(Language::Ruby, "passenger_min_instances 0;", |daemon| daemon);
    let name = format!("{} (production)", root(&setup));
    eventually("nginx has sent its roster", || {
        setup.daemon.tool("passenger-config", &["maintenance-app", "--name", &name]).status.success()
    });
    setup.nginx.get("/").expect(503);
    assert!(setup.daemon.app_pids().is_empty());
}

#[test]
fn a_removed_app_starts_again_with_its_next_request() {
    let setup = OneApp::with(Language::Ruby, "passenger_min_instances 2;", |daemon| daemon);
    setup.app_pid();
    eventually("it has two processes", || setup.daemon.app_pids().len() == 2);
    let before = setup.daemon.app_pids();
    let mut busy = ask(&setup, "/wait?name=gate");
    eventually("it is working", || setup.daemon.status().contains("Sessions: 1 "));
    order(&setup, &["forget-app", &root(&setup)]);
    eventually("the idle one has gone", || before.iter().filter(|pid| is_alive(**pid)).count() == 1);
    setup.test_dir.open_gate("gate");
    busy.read_response().expect(200);
    eventually("all have gone", || !before.iter().any(|pid| is_alive(*pid)));
    eventually("no record of it remains", || setup.daemon.status().contains("App groups    : 0"));
    assert!(!before.contains(&setup.app_pid()), "a request brings it back");
    eventually("as many as before", || setup.daemon.app_pids().len() == 2);
}

#[test]
fn invalid_mode_changes_are_refused() {
    let setup = OneApp::of(Language::Python);
    setup.app_pid();
    let refuse = |arguments: &[&str], reported: &str| {
        let output = setup.daemon.tool("passenger-config", arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(reported), "{arguments:?}: {text}");
    };
    refuse(&["pause-app", "/no/such/app"], "no running app matches");
    refuse(&["pause-app", "--name", "nobody"], "no app group has the name nobody");
    refuse(&["maintenance-app", &root(&setup), "--page", "/no/such/page"], "cannot read /no/such/page");
    let long = setup.test_dir.path("long.html");
    std::fs::write(&long, "x".repeat(65 * 1024)).unwrap();
    let long = long.display().to_string();
    refuse(&["maintenance-app", &root(&setup), "--page", &long], "the page is longer than 64 KiB");
    refuse(&["pause-app"], "required");
    let call = ["api-call", "POST", "/pool/set_mode.json", "-d"];
    let body = format!("{{\"name\":\"{} (production)\",\"mode\":\"shut\"}}", root(&setup));
    assert!(!setup.daemon.tool("passenger-config", &[&call[..], &[&body]].concat()).status.success());
    order(&setup, &["pause-app", "--name", "nobody", "--ignore-app-not-running"]);
    setup.nginx.get("/").expect(200);
}

#[test]
fn a_mode_can_be_set_while_no_process_runs() {
    let test_dir = TestDir::new();
    std::fs::create_dir(test_dir.path("registry")).unwrap();
    for command in ["pause-app", "resume-app", "maintenance-app", "forget-app", "restart-app"] {
        let run = |more: &[&str]| {
            std::process::Command::new(test_support::binary("passenger-config"))
                .args([&[command, "/srv/app"], more].concat())
                .env("PASSENGER_INSTANCE_REGISTRY_DIR", test_dir.path("registry"))
                .output()
                .unwrap()
        };
        assert_eq!(run(&[]).status.code(), Some(1), "{command}");
        assert!(run(&["--ignore-passenger-not-running"]).status.success(), "{command}");
    }
}
