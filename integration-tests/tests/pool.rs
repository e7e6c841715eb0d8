//! The number of processes, and which of them gets a request.

use std::collections::BTreeSet;
use std::time::Duration;

use stage::{Connection, Language, Request, Scene, eventually, for_each_language, stays};

#[test]
fn max_pool_size_is_respected() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.flag("--max-pool-size=2"));
    let clients: Vec<Connection> = (0..4).map(|number| waiting(&scene, &number.to_string())).collect();
    // The order of the first two is not defined.
    let under_way = |number: &i32| scene.stage.scratch(&format!("{number}.arrived")).exists();
    eventually("two requests are under way", || (0..4).filter(under_way).count() == 2);
    eventually("the others wait", || scene.daemon.status().contains("Requests in queue: 2"));
    stays("there are two processes", Duration::from_millis(500), || scene.daemon.app_pids().len() == 2);
    assert!(scene.daemon.status().contains("Max pool size : 2"), "{}", scene.daemon.status());
    (0..4).for_each(|number| scene.stage.open_gate(&number.to_string()));
    let pids: BTreeSet<String> =
        clients.into_iter().map(|mut each| each.read_response().expect(200).text()).collect();
    assert_eq!(pids.len(), 2);
}

#[test]
fn a_request_never_waits_behind_a_busy_process_while_another_is_idle() {
    let scene = Scene::with(Language::Python, "passenger_min_instances 2;", |daemon| {
        daemon.flag("--max-pool-size=2")
    });
    scene.app_pid();
    eventually("two processes are there", || scene.daemon.app_pids().len() == 2);
    let mut busy = waiting(&scene, "busy");
    let occupied = arrived(&scene, "busy");
    for _ in 0..10 {
        assert_ne!(scene.app_pid(), occupied, "the idle one is taken");
    }
    scene.stage.open_gate("busy");
    busy.read_response().expect(200);
}

#[test]
fn few_processes_carry_a_small_load() {
    let scene = Scene::with(Language::Ruby, "passenger_min_instances 3;", |daemon| daemon);
    scene.app_pid();
    eventually("three processes are there", || scene.daemon.app_pids().len() == 3);
    let pids: BTreeSet<u32> = (0..10).map(|_| scene.app_pid()).collect();
    assert_eq!(pids.len(), 1, "so that the others can become idle: {pids:?}");
}

#[test]
fn processes_take_turns_where_that_is_wanted() {
    let lines = "passenger_min_instances 3; passenger_load_balancing round_robin;";
    let scene = Scene::with(Language::Ruby, lines, |daemon| daemon);
    let three = || (0..3).map(|_| scene.app_pid()).collect::<BTreeSet<_>>().len();
    eventually("three processes serve", || three() == 3);
    let pids: Vec<u32> = (0..9).map(|_| scene.app_pid()).collect();
    assert_eq!(pids.iter().collect::<BTreeSet<_>>().len(), 3, "each has its turn: {pids:?}");
    assert!(pids[..6] == pids[3..], "in the same order again: {pids:?}");
}

#[test]
fn node_takes_many_requests_at_once() {
    let scene = Scene::with(Language::Node, "", |daemon| daemon.flag("--max-pool-size=1"));
    let clients: Vec<Connection> = (0..10).map(|_| waiting(&scene, "all")).collect();
    arrived(&scene, "all");
    assert!(scene.daemon.status().contains("Requests in queue: 0"), "{}", scene.daemon.status());
    scene.stage.open_gate("all");
    for mut client in clients {
        client.read_response().expect(200);
    }
    assert_eq!(scene.daemon.app_pids().len(), 1);
}

#[test]
fn a_full_queue_is_a_503() {
    let lines = "passenger_max_request_queue_size 1;";
    let scene = Scene::with(Language::Ruby, lines, |daemon| daemon.flag("--max-pool-size=1"));
    let mut first = waiting(&scene, "first");
    arrived(&scene, "first");
    let mut second = waiting(&scene, "second");
    eventually("one request waits", || scene.daemon.status().contains("Requests in queue: 1"));
    assert_eq!(scene.nginx.get("/").status(), 503);
    scene.stage.open_gate("first");
    scene.stage.open_gate("second");
    first.read_response().expect(200);
    second.read_response().expect(200);
    scene.nginx.get("/").expect(200);
}

#[test]
fn after_its_requests_a_process_is_replaced() {
    let lines = "passenger_max_requests 3; passenger_max_instances 1;";
    let scene = Scene::with(Language::Ruby, lines, |daemon| daemon);
    let pids: Vec<u32> = (0..9).map(|_| scene.app_pid()).collect();
    for three in pids.chunks(3) {
        assert!(three.iter().all(|pid| pid == &three[0]), "three requests each: {pids:?}");
    }
    assert!(pids[0] != pids[3] && pids[3] != pids[6], "then another: {pids:?}");
}

#[test]
fn idle_processes_are_cleaned_away_down_to_min_instances() {
    let lines = "passenger_min_instances 1;";
    let scene = Scene::with(Language::Ruby, lines, |daemon| daemon.flag("--pool-idle-time=1"));
    let mut clients: Vec<Connection> = (0..3).map(|number| waiting(&scene, &number.to_string())).collect();
    (0..3).for_each(|number| {
        arrived(&scene, &number.to_string());
    });
    assert_eq!(scene.daemon.app_pids().len(), 3);
    (0..3).for_each(|number| scene.stage.open_gate(&number.to_string()));
    for client in &mut clients {
        client.read_response().expect(200);
    }
    eventually("one is left", || scene.daemon.app_pids().len() == 1);
    stays("the last one is kept", Duration::from_millis(2500), || scene.daemon.app_pids().len() == 1);
}

#[test]
fn without_min_instances_the_last_idle_process_goes_too() {
    let lines = "passenger_min_instances 0;";
    let scene = Scene::with(Language::Node, lines, |daemon| daemon.flag("--pool-idle-time=1"));
    scene.app_pid();
    eventually("none is left", || scene.daemon.app_pids().is_empty());
    scene.app_pid();
}

#[test]
fn an_idle_process_of_another_app_makes_room() {
    let lines = "location /wait { passenger_app_group_name other; passenger_min_instances 0; } passenger_min_instances 0;";
    let scene = Scene::with(Language::Ruby, lines, |daemon| daemon.flag("--max-pool-size=1"));
    scene.app_pid();
    scene.stage.open_gate("room");
    scene.nginx.get("/wait?name=room").expect(200);
    scene.app_pid();
    eventually("one process is left", || scene.daemon.app_pids().len() == 1);
}

for_each_language! {
    fn min_instances_are_started_after_the_first_request(language) {
        let scene = Scene::with(language, "passenger_min_instances 2;", |daemon| daemon);
        assert_eq!(scene.daemon.app_pids().len(), 0);
        scene.app_pid();
        eventually("two processes are there", || scene.daemon.app_pids().len() == 2);
    }
}

/// A client whose request waits at the gate.
fn waiting(scene: &Scene, gate: &str) -> Connection {
    let mut client = scene.nginx.connect();
    client.send(Request::get(&format!("/wait?name={gate}")).bytes("close"));
    client
}

/// The PID of the process that waits at the gate.
fn arrived(scene: &Scene, gate: &str) -> u32 {
    let sign = scene.stage.scratch(&format!("{gate}.arrived"));
    eventually(&format!("a request is at the gate {gate}"), || sign.exists());
    std::fs::read_to_string(sign).unwrap().trim().parse().unwrap()
}
