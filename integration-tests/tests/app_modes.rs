//! App modes, paused and maintenance: requests wait or get a 503, and other apps are not affected.

use stage::{Connection, Language, Request, Scene, Stage, eventually, is_alive};

/// Runs `passenger-config`, which must succeed; what it prints.
fn order(scene: &Scene, arguments: &[&str]) -> String {
    let output = scene.daemon.tool("passenger-config", arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The app's directory as an argument.
fn root(scene: &Scene) -> String {
    scene.app.dir().display().to_string()
}

/// Asks without waiting for the answer.
fn ask(scene: &Scene, path: &str) -> Connection {
    let mut client = scene.nginx.connect();
    client.send(Request::get(path).bytes("close"));
    client
}

fn waiting(scene: &Scene, requests: usize) {
    let line = format!("Requests in queue: {requests}\n");
    eventually(&format!("{requests} requests wait"), || scene.daemon.status().contains(&line));
}

#[test]
fn requests_of_a_paused_app_wait_and_are_served_afterwards() {
    let scene = Scene::of(Language::Ruby);
    let pid = scene.app_pid();
    let root = root(&scene);
    assert_eq!(order(&scene, &["pause-app", &root]), format!("Paused {root} (production)\n"));
    assert!(scene.daemon.status().contains("  (paused: requests wait)\n"));
    let mut clients = [ask(&scene, "/pid"), ask(&scene, "/pid"), ask(&scene, "/pid")];
    waiting(&scene, 3);
    let asked = scene.daemon.tool("passenger-config", &["ask-process", &pid.to_string(), "/pid"]);
    assert!(asked.status.success(), "an administrator is answered: {asked:?}");
    order(&scene, &["resume-app", &root]);
    for client in &mut clients {
        assert_eq!(client.read_response().expect(200).text().trim(), pid.to_string());
    }
    assert!(!scene.daemon.status().contains("paused"));
}

#[test]
fn what_a_process_works_on_when_its_app_is_paused_is_answered() {
    let scene = Scene::of(Language::Python);
    let mut busy = ask(&scene, "/wait?name=gate");
    eventually("it is at work", || scene.daemon.status().contains("Sessions: 1 "));
    order(&scene, &["pause-app", &root(&scene)]);
    let mut next = ask(&scene, "/pid");
    waiting(&scene, 1);
    scene.stage.open_gate("gate");
    busy.read_response().expect(200);
    eventually("the process is free", || scene.daemon.status().contains("Sessions: 0 "));
    waiting(&scene, 1);
    order(&scene, &["resume-app", &root(&scene)]);
    next.read_response().expect(200);
}

#[test]
fn during_maintenance_visitors_are_told_at_once_those_who_wait_too() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=1"));
    let (pid, root) = (scene.app_pid(), root(&scene));
    let mut busy = ask(&scene, "/wait?name=gate");
    eventually("it is at work", || scene.daemon.status().contains("Sessions: 1 "));
    let mut waits = ask(&scene, "/");
    waiting(&scene, 1);
    order(&scene, &["maintenance-app", &root, "--retry-after", "120"]);
    let turned_away = waits.read_response().expect(503);
    assert_eq!(turned_away.header("Retry-After"), Some("120"));
    assert!(turned_away.text().contains("under maintenance"), "{}", turned_away.text());
    scene.stage.open_gate("gate");
    busy.read_response().expect(200);

    let page = scene.stage.path("page.html");
    std::fs::write(&page, "<p>Back at noon</p>").unwrap();
    order(&scene, &["maintenance-app", &root, "--page", &page.display().to_string()]);
    let page = scene.nginx.get("/").expect(503);
    assert_eq!((page.text(), page.header("Retry-After")), ("<p>Back at noon</p>".to_owned(), None));
    assert!(scene.daemon.status().contains("  (maintenance: requests are refused)\n"));
    order(&scene, &["resume-app", &root]);
    assert_eq!(scene.app_pid(), pid, "the process was there all the time");
}

#[test]
fn it_holds_when_the_router_is_replaced() {
    let scene = Scene::of(Language::Python);
    let (pid, root) = (scene.app_pid(), root(&scene));
    order(&scene, &["pause-app", &root]);
    scene.daemon.kill_router();
    let mut client = ask(&scene, "/pid");
    waiting(&scene, 1);
    order(&scene, &["maintenance-app", &root]);
    client.read_response().expect(503);
    scene.daemon.kill_router();
    scene.nginx.get("/").expect(503);
    order(&scene, &["resume-app", &root]);
    scene.daemon.kill_router();
    assert_eq!(scene.app_pid(), pid);
}

#[test]
fn an_app_can_be_closed_before_its_first_request() {
    let scene = Scene::with(Language::Ruby, "passenger_min_instances 0;", |daemon| daemon);
    let name = format!("{} (production)", root(&scene));
    eventually("nginx has told of its apps", || {
        scene.daemon.tool("passenger-config", &["maintenance-app", "--name", &name]).status.success()
    });
    scene.nginx.get("/").expect(503);
    assert!(scene.daemon.app_pids().is_empty());
}

#[test]
fn an_app_that_is_forgotten_stays_away_until_it_is_asked_for() {
    let scene = Scene::with(Language::Ruby, "passenger_min_instances 2;", |daemon| daemon);
    scene.app_pid();
    eventually("it has two processes", || scene.daemon.app_pids().len() == 2);
    let before = scene.daemon.app_pids();
    let mut busy = ask(&scene, "/wait?name=gate");
    eventually("it is at work", || scene.daemon.status().contains("Sessions: 1 "));
    order(&scene, &["forget-app", &root(&scene)]);
    eventually("the idle one has gone", || before.iter().filter(|pid| is_alive(**pid)).count() == 1);
    scene.stage.open_gate("gate");
    busy.read_response().expect(200);
    eventually("all have gone", || !before.iter().any(|pid| is_alive(*pid)));
    eventually("nothing is known of it", || scene.daemon.status().contains("App groups    : 0"));
    assert!(!before.contains(&scene.app_pid()), "a request brings it back");
    eventually("as many as before", || scene.daemon.app_pids().len() == 2);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let scene = Scene::of(Language::Python);
    scene.app_pid();
    let refuse = |arguments: &[&str], told: &str| {
        let output = scene.daemon.tool("passenger-config", arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(told), "{arguments:?}: {text}");
    };
    refuse(&["pause-app", "/no/such/app"], "no running app matches");
    refuse(&["pause-app", "--name", "nobody"], "nobody: no app group has this name");
    refuse(&["maintenance-app", &root(&scene), "--page", "/no/such/page"], "cannot read /no/such/page");
    let long = scene.stage.path("long.html");
    std::fs::write(&long, "x".repeat(65 * 1024)).unwrap();
    let long = long.display().to_string();
    refuse(&["maintenance-app", &root(&scene), "--page", &long], "the page is longer than 64 KiB");
    refuse(&["pause-app"], "required");
    let call = ["api-call", "POST", "/pool/set_mode.json", "-d"];
    let body = format!("{{\"name\":\"{} (production)\",\"mode\":\"shut\"}}", root(&scene));
    assert!(!scene.daemon.tool("passenger-config", &[&call[..], &[&body]].concat()).status.success());
    order(&scene, &["pause-app", "--name", "nobody", "--ignore-app-not-running"]);
    scene.nginx.get("/").expect(200);
}

#[test]
fn nobody_has_to_run_when_that_is_said() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("registry")).unwrap();
    for command in ["pause-app", "resume-app", "maintenance-app", "forget-app", "restart-app"] {
        let run = |more: &[&str]| {
            std::process::Command::new(stage::binary("passenger-config"))
                .args([&[command, "/srv/app"], more].concat())
                .env("PASSENGER_INSTANCE_REGISTRY_DIR", stage.path("registry"))
                .output()
                .unwrap()
        };
        assert_eq!(run(&[]).status.code(), Some(1), "{command}");
        assert!(run(&["--ignore-passenger-not-running"]).status.success(), "{command}");
    }
}
