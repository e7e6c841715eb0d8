//! The number of processes, and which of them gets a request.

use std::collections::BTreeSet;
use std::time::Duration;

use test_support::{Connection, Language, OneApp, Request, eventually, for_each_language, stays};

#[test]
fn max_pool_size_is_respected() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=2"));
    let clients: Vec<Connection> = (0..4).map(|number| waiting(&setup, &number.to_string())).collect();
    // The order of the first two is not defined.
    let under_way = |number: &i32| setup.test_dir.scratch(&format!("{number}.arrived")).exists();
    eventually("two requests are active", || (0..4).filter(under_way).count() == 2);
    eventually("the other requests wait", || setup.daemon.status().contains("Requests in queue: 2"));
    stays("there are two processes", Duration::from_millis(500), || setup.daemon.app_pids().len() == 2);
    assert!(setup.daemon.status().contains("Max pool size : 2"), "{}", setup.daemon.status());
    (0..4).for_each(|number| setup.test_dir.open_gate(&number.to_string()));
    let pids: BTreeSet<String> =
        clients.into_iter().map(|mut each| each.read_response().expect(200).text()).collect();
    assert_eq!(pids.len(), 2);
}

#[test]
fn a_request_never_waits_behind_a_busy_process_while_another_is_idle() {
    let setup = OneApp::with(Language::Python, "passenger_min_instances 2;", |daemon| {
        daemon.flag("--max-pool-size=2")
    });
    setup.app_pid();
    eventually("two processes are there", || setup.daemon.app_pids().len() == 2);
    let mut busy = waiting(&setup, "busy");
    let occupied = arrived(&setup, "busy");
    for _ in 0..10 {
        assert_ne!(setup.app_pid(), occupied, "the idle one is taken");
    }
    setup.test_dir.open_gate("busy");
    busy.read_response().expect(200);
}

#[test]
fn a_small_load_uses_few_processes() {
    let setup = OneApp::with(Language::Ruby, "passenger_min_instances 3;", |daemon| daemon);
    setup.app_pid();
    eventually("three processes are there", || setup.daemon.app_pids().len() == 3);
    let pids: BTreeSet<u32> = (0..10).map(|_| setup.app_pid()).collect();
    assert_eq!(pids.len(), 1, "so that the others can become idle: {pids:?}");
}

#[test]
fn processes_take_turns_when_configured() {
    let lines = "passenger_min_instances 3; passenger_load_balancing round_robin;";
    let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon);
    let three = || (0..3).map(|_| setup.app_pid()).collect::<BTreeSet<_>>().len();
    eventually("three processes serve", || three() == 3);
    let pids: Vec<u32> = (0..9).map(|_| setup.app_pid()).collect();
    assert_eq!(pids.iter().collect::<BTreeSet<_>>().len(), 3, "each has its turn: {pids:?}");
    assert!(pids[..6] == pids[3..], "in the same order again: {pids:?}");
}

#[test]
fn node_takes_many_requests_at_once() {
    let setup = OneApp::with(Language::Node, "", |daemon| daemon.flag("--max-pool-size=1"));
    let clients: Vec<Connection> = (0..10).map(|_| waiting(&setup, "all")).collect();
    arrived(&setup, "all");
    assert!(setup.daemon.status().contains("Requests in queue: 0"), "{}", setup.daemon.status());
    setup.test_dir.open_gate("all");
    for mut client in clients {
        client.read_response().expect(200);
    }
    assert_eq!(setup.daemon.app_pids().len(), 1);
}

#[test]
fn a_full_queue_is_a_503() {
    let lines = "passenger_max_request_queue_size 1;";
    let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon.flag("--max-pool-size=1"));
    let mut first = waiting(&setup, "first");
    arrived(&setup, "first");
    let mut second = waiting(&setup, "second");
    eventually("one request waits", || setup.daemon.status().contains("Requests in queue: 1"));
    assert_eq!(setup.nginx.get("/").status(), 503);
    setup.test_dir.open_gate("first");
    setup.test_dir.open_gate("second");
    first.read_response().expect(200);
    second.read_response().expect(200);
    setup.nginx.get("/").expect(200);
}

#[test]
fn after_its_requests_a_process_is_replaced() {
    let lines = "passenger_max_requests 3; passenger_max_instances 1;";
    let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon);
    let pids: Vec<u32> = (0..9).map(|_| setup.app_pid()).collect();
    for three in pids.chunks(3) {
        assert!(three.iter().all(|pid| pid == &three[0]), "three requests each: {pids:?}");
    }
    assert!(pids[0] != pids[3] && pids[3] != pids[6], "then another: {pids:?}");
}

#[test]
fn idle_processes_are_stopped_down_to_min_instances() {
    let lines = "passenger_min_instances 1;";
    let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon.flag("--pool-idle-time=1"));
    let mut clients: Vec<Connection> = (0..3).map(|number| waiting(&setup, &number.to_string())).collect();
    (0..3).for_each(|number| {
        arrived(&setup, &number.to_string());
    });
    assert_eq!(setup.daemon.app_pids().len(), 3);
    (0..3).for_each(|number| setup.test_dir.open_gate(&number.to_string()));
    for client in &mut clients {
        client.read_response().expect(200);
    }
    eventually("one is left", || setup.daemon.app_pids().len() == 1);
    stays("the last one is kept", Duration::from_millis(2500), || setup.daemon.app_pids().len() == 1);
}

#[test]
fn without_min_instances_the_last_idle_process_is_stopped() {
    let lines = "passenger_min_instances 0;";
    let setup = OneApp::with(Language::Node, lines, |daemon| daemon.flag("--pool-idle-time=1"));
    setup.app_pid();
    eventually("none is left", || setup.daemon.app_pids().is_empty());
    setup.app_pid();
}

#[test]
fn an_idle_process_of_another_app_makes_room() {
    let lines = "location /wait { passenger_app_group_name other; passenger_min_instances 0; } passenger_min_instances 0;";
    let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon.flag("--max-pool-size=1"));
    setup.app_pid();
    setup.test_dir.open_gate("room");
    setup.nginx.get("/wait?name=room").expect(200);
    setup.app_pid();
    eventually("one process is left", || setup.daemon.app_pids().len() == 1);
}

for_each_language! {
    fn min_instances_are_started_after_the_first_request(language) {
        let setup = OneApp::with(language, "passenger_min_instances 2;", |daemon| daemon);
        assert_eq!(setup.daemon.app_pids().len(), 0);
        setup.app_pid();
        eventually("two processes are there", || setup.daemon.app_pids().len() == 2);
    }
}

/// A client whose request waits at the gate.
fn waiting(setup: &OneApp, gate: &str) -> Connection {
    let mut client = setup.nginx.connect();
    client.send(Request::get(&format!("/wait?name={gate}")).bytes("close"));
    client
}

/// The PID of the process that waits at the gate.
fn arrived(setup: &OneApp, gate: &str) -> u32 {
    let sign = setup.test_dir.scratch(&format!("{gate}.arrived"));
    eventually(&format!("a request is at the gate {gate}"), || sign.exists());
    std::fs::read_to_string(sign).unwrap().trim().parse().unwrap()
}
