//! The gate's life: its end, its reload, and that of the daemon lose no request and no process.

use nix::sys::signal::Signal;
use test_support::{Language, Load, Request, TestDir, eventually};

use crate::gate::OneGate;

#[test]
fn killing_the_gate_leaves_the_apps_running() {
    let mut setup = OneGate::with(Language::Ruby, "min_instances = 2", "");
    eventually("both processes run", || setup.daemon.app_pids().len() == 2);
    let before = setup.app_pid();
    let mut pids = setup.daemon.app_pids();
    setup.gate.kill();
    setup.gate.start_again();
    assert!(pids.contains(&setup.app_pid()), "{before}");
    let mut after = setup.daemon.app_pids();
    pids.sort_unstable();
    after.sort_unstable();
    assert_eq!(pids, after);
    setup.gate.restart();
    setup.gate.get("/pid").expect(200);
    let mut after = setup.daemon.app_pids();
    after.sort_unstable();
    assert_eq!(pids, after);
}

#[test]
fn processes_start_before_the_first_request() {
    let setup = OneGate::with(Language::Python, "min_instances = 2", "");
    eventually("both processes run", || setup.daemon.app_pids().len() == 2);
}

#[test]
fn a_reload_changes_the_apps() {
    let test_dir = TestDir::new();
    let one = test_dir.app("one").ruby("run ->(_) { [200, {}, ['one ' + ENV['A'].to_s]] }");
    let two = test_dir.app("two").ruby("run ->(_) { [200, {}, ['two']] }");
    let daemon = test_dir.daemon().start();
    let mut gate = test_dir.gate().app(one.dir(), "").start();
    assert_eq!(gate.get("/").expect(200).text(), "one ");
    gate.reload(|gate| {
        gate.app(one.dir(), "env_var = { A = \"x\" }")
            .app(two.dir(), "hosts = [\"two.example\"]\npre_start = true")
    });
    eventually("the variable is set", || gate.get("/").expect(200).text() == "one x");
    assert_eq!(gate.send(Request::get("/").header("Host", "two.example")).expect(200).text(), "two");
    gate.reload(|gate| gate.app(one.dir(), "env_var = { A = \"x\" }"));
    eventually("the app that is not configured any more ends", || daemon.app_pids().len() == 1);
    assert_eq!(gate.get("/").expect(200).text(), "one x");
    gate.reload(|gate| gate.app(two.dir(), "colour = 1"));
    gate.logs_eventually("the configuration was not reloaded: ");
    assert_eq!(gate.get("/").expect(200).text(), "one x");
}

#[test]
fn a_restart_of_the_daemon_under_load_loses_nothing() {
    let mut setup = OneGate::of(Language::Python);
    setup.app_pid();
    let load = Load::on(setup.gate.port(), "/pid", 4);
    let posts = Load::of(setup.gate.port(), &Request::post("/echo", "a body"), 2);
    load.let_pass(50);
    posts.let_pass(50);
    setup.daemon.stop();
    setup.daemon.start_again();
    posts.let_pass(50);
    assert_eq!(posts.finish().failures, [""; 0]);
    setup.daemon.kill_router();
    load.let_pass(50);
    let report = load.finish();
    assert_eq!(report.failures, [""; 0]);
}

#[test]
fn requests_finish_when_the_gate_ends() {
    let mut setup = OneGate::of(Language::Python);
    let mut client = setup.gate.connect();
    client.send(Request::get("/wait?name=g").bytes("keep-alive"));
    let mut idle = setup.gate.connect();
    idle.send(Request::get("/pid").bytes("keep-alive"));
    // One process serves one request, so the other waits; it does not matter here.
    eventually("the request has arrived", || setup.test_dir.scratch("g.arrived").exists());
    setup.gate.signal(Signal::SIGTERM);
    setup.gate.logs_eventually("is ending: it accepts no further requests");
    setup.test_dir.open_gate("g");
    client.read_response().expect(200);
    idle.read_response().expect(200);
    assert_eq!(client.read_to_end(), b"");
    setup.gate.await_end();
}

#[test]
fn idle_connections_do_not_delay_the_end() {
    let setup = OneGate::of(Language::Python);
    setup.app.write("public/a.txt", "a file");
    let fresh = setup.gate.connect();
    let mut after_file = setup.gate.connect();
    after_file.send(Request::get("/a.txt").bytes("keep-alive"));
    after_file.read_response().expect(200);
    let began = std::time::Instant::now();
    setup.gate.signal(Signal::SIGTERM);
    let mut setup = setup;
    setup.gate.await_end();
    // Requests would have 30 seconds.
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
    drop(fresh);
}

#[test]
fn idle_clients_of_files_give_their_places_away() {
    let setup = OneGate::with(Language::Python, "", "max_connections = 16");
    setup.app.write("public/a.txt", "a file");
    let idle = |_| {
        let mut client = setup.gate.connect();
        client.send(Request::get("/a.txt").bytes("keep-alive"));
        client.read_response().expect(200);
        client
    };
    let _idle: Vec<_> = (0..16).map(idle).collect();
    setup.gate.get("/pid").expect(200);
}

#[test]
fn more_connections_than_places_wait_in_the_queue() {
    let setup = OneGate::with(Language::Python, "", "max_connections = 16");
    setup.app_pid();
    let request = Request::get("/pid").bytes("keep-alive");
    let send = |_| {
        let mut client = setup.gate.connect();
        client.send(&request);
        client
    };
    let clients: Vec<_> = (0..40).map(send).collect();
    // Connections that wait for their next request give their places to those that have one.
    for mut client in clients {
        client.read_response().expect(200);
    }
    setup.gate.get("/pid").expect(200);
}

#[test]
fn the_options_of_nginx_stay_in_effect() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").standard(Language::Ruby);
    let daemon = test_dir.daemon().start();
    let conf = test_support::ONE_APP_CONF
        .replace("%%APP%%", "")
        .replace("http {", "http { passenger_max_pool_size 3;");
    let nginx = test_dir.nginx(&conf).start();
    nginx.get("/pid").expect(200);
    let gate = test_dir.gate().app(app.dir(), "").start();
    assert_eq!(gate.get("/pid").expect(200).text(), nginx.get("/pid").expect(200).text());
    let shown = daemon.tool("passenger-config", &["config"]).stdout;
    let shown = String::from_utf8_lossy(&shown).into_owned();
    let line = shown.lines().find(|line| line.trim_start().starts_with("max_pool_size")).unwrap();
    assert!(line.contains('3') && line.contains("nginx"), "{line}");
}
