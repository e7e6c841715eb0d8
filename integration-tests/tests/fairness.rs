//! Apps that share a full pool: each app with requests gets a process.

use std::time::{Duration, Instant};

use stage::{Load, Scene, eventually};

/// A request takes 0.3 s.
const SLOW: &str = "import time
def application(environ, start_response):
    time.sleep(0.3)
    start_response('200 OK', [])
    return [b'slow']
";

/// Locations that are apps of their own, with the same code.
const APPS: &str = "
    location /a { passenger_app_group_name a; }
    location /b { passenger_app_group_name b; }
    location /c { passenger_app_group_name c; }
";

fn scene(pool_size: usize) -> Scene {
    let flag = format!("--max-pool-size={pool_size}");
    Scene::set(APPS, |daemon| daemon.flag(&flag), |app| app.python(SLOW))
}

#[test]
fn a_flood_on_one_app_does_not_keep_another_from_its_first_process() {
    let scene = scene(2);
    let flood = Load::on(scene.nginx.port(), "/a", 12);
    eventually("the busy app has the whole pool", || scene.daemon.app_pids().len() == 2);
    flood.let_pass(12);
    let begin = Instant::now();
    scene.nginx.get("/b").expect(200);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "the first answer took {took:?}");
    flood.let_pass(12);
    let report = flood.finish();
    assert_eq!(report.failures, Vec::<String>::new(), "visitors of the busy app lose nothing");
}

#[test]
fn more_busy_apps_than_processes_take_turns() {
    let scene = scene(1);
    let floods = ["/a", "/b"].map(|path| Load::on(scene.nginx.port(), path, 4));
    for _ in 0..3 {
        scene.nginx.get("/c").expect(200);
    }
    floods.iter().for_each(|flood| flood.let_pass(4));
    for flood in floods {
        assert_eq!(flood.finish().failures, Vec::<String>::new());
    }
}
