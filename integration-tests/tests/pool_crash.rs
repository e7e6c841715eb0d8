//! Crashed processes are detected at once, not by the next request.

use test_support::{Language, Load, OneApp, Request, eventually, eventually_some, for_each_language, kill_9};

for_each_language! {
    fn a_killed_process_is_replaced_without_a_request(language) {
        let setup = OneApp::of(language);
        let before = setup.app_pid();
        kill_9(before);
        let after = eventually_some("another process is there", || {
            setup.daemon.app_pids().into_iter().find(|pid| *pid != before)
        });
        assert_eq!(setup.app_pid(), after);
    }

    fn min_instances_are_kept_after_a_kill(language) {
        let setup = OneApp::with(language, "passenger_min_instances 2;", |daemon| daemon);
        setup.app_pid();
        let two = || {
            let pids = setup.daemon.app_pids();
            (pids.len() == 2).then_some(pids)
        };
        let before = eventually_some("two processes are there", two);
        kill_9(before[0]);
        eventually("there are two again, without the killed one", || {
            two().is_some_and(|now| !now.contains(&before[0]))
        });
    }

    fn a_request_in_a_killed_process_is_a_502(language) {
        let setup = OneApp::of(language);
        let mut client = setup.nginx.connect();
        client.send(Request::get("/wait?name=never").bytes("close"));
        let sign = setup.test_dir.scratch("never.arrived");
        eventually("a request is active", || sign.exists());
        kill_9(std::fs::read_to_string(sign).unwrap().trim().parse().unwrap());
        assert_eq!(client.read_response().status(), 502);
        eventually("the app answers again", || setup.nginx.get("/").status() == 200);
    }
}

#[test]
fn a_killed_idle_process_costs_no_request() {
    let setup = OneApp::with(Language::Ruby, "passenger_min_instances 3;", |daemon| daemon);
    setup.app_pid();
    eventually("three processes are there", || setup.daemon.app_pids().len() == 3);
    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/wait?name=busy").bytes("close"));
    let sign = setup.test_dir.scratch("busy.arrived");
    eventually("one is busy", || sign.exists());
    let occupied: u32 = std::fs::read_to_string(sign).unwrap().trim().parse().unwrap();
    for pid in setup.daemon.app_pids() {
        if pid != occupied {
            kill_9(pid);
        }
    }
    // Nobody waits for the daemon to notice.
    setup.nginx.get("/").expect(200);
    setup.test_dir.open_gate("busy");
    busy.read_response().expect(200);
}

#[test]
fn a_crash_loop_does_not_load_the_daemon() {
    // It answers once, then dies by itself.
    let ruby = "run ->(env) { Thread.new { sleep 0.05; exit! 1 }; [200, {}, ['once']] }";
    let setup = OneApp::app("passenger_min_instances 1;", |app| app.ruby(ruby));
    for _ in 0..5 {
        eventually("it answers", || setup.nginx.get("/").status() == 200);
    }
    let log = setup.daemon.log();
    assert!(log.len() < 1 << 20, "{} bytes of log", log.len());
}

#[test]
fn a_new_router_keeps_the_processes() {
    let setup = OneApp::with(Language::Ruby, "passenger_min_instances 2;", |daemon| daemon);
    setup.app_pid();
    eventually("two processes are there", || setup.daemon.app_pids().len() == 2);
    let before = sorted(setup.daemon.app_pids());
    setup.daemon.kill_router();
    eventually("the tools find the next router", || {
        setup.daemon.tool("passenger-status", &[]).status.success()
    });
    setup.app_pid();
    assert_eq!(sorted(setup.daemon.app_pids()), before);
}

#[test]
fn a_killed_router_loses_only_active_requests() {
    let setup = OneApp::of(Language::Python);
    let pid = setup.app_pid();
    let load = Load::on(setup.nginx.port(), "/", 2);
    load.let_pass(100);
    setup.daemon.kill_router();
    load.let_pass(100);
    let report = load.finish();
    assert!(report.failures.len() <= 2, "one request a client was under way: {:#?}", report.failures);
    assert_eq!(setup.app_pid(), pid);
}

fn sorted(mut pids: Vec<u32>) -> Vec<u32> {
    pids.sort_unstable();
    pids
}

#[test]
fn a_process_is_detached_by_its_pid() {
    let setup = OneApp::with(Language::Ruby, "passenger_min_instances 2;", |daemon| daemon);
    setup.app_pid();
    eventually("two processes are there", || setup.daemon.app_pids().len() == 2);
    let mut client = setup.nginx.connect();
    client.send(Request::get("/wait?name=held").bytes("close"));
    let sign = setup.test_dir.scratch("held.arrived");
    eventually("a request is active", || sign.exists());
    let busy: u32 = std::fs::read_to_string(sign).unwrap().trim().parse().unwrap();
    let reported = setup.daemon.tool("passenger-config", &["detach-process", &busy.to_string()]);
    assert!(reported.status.success(), "{}", String::from_utf8_lossy(&reported.stderr));
    assert_eq!(String::from_utf8_lossy(&reported.stdout), format!("Process {busy} detached.\n"));
    assert_ne!(setup.app_pid(), busy, "it gets no further request");
    setup.test_dir.open_gate("held");
    client.read_response().expect(200);
    eventually("another one is there in its place", || {
        let now = setup.daemon.app_pids();
        now.len() == 2 && !now.contains(&busy)
    });
    let missing = setup.daemon.tool("passenger-config", &["detach-process", &busy.to_string()]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no app process has this PID"));
}
