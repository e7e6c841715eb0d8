//! Apps that share a full pool: each app with requests gets a process.

use std::time::{Duration, Instant};

use test_support::{Load, OneApp, eventually};

/// A request takes 0.3 s.
const SLOW: &str = "import time
def application(environ, start_response):
    time.sleep(0.3)
    start_response('200 OK', [])
    return [b'slow']
";

/// Locations that are separate apps, with the same code.
const APPS: &str = "
    location /a { passenger_app_group_name a; }
    location /b { passenger_app_group_name b; }
    location /c { passenger_app_group_name c; }
";

fn setup(pool_size: usize) -> OneApp {
    let flag = format!("--max-pool-size={pool_size}");
    OneApp::custom(APPS, |daemon| daemon.flag(&flag), |app| app.python(SLOW))
}

#[test]
fn a_flood_on_one_app_does_not_block_starts_of_others() {
    let setup = setup(2);
    let flood = Load::on(setup.nginx.port(), "/a", 12);
    eventually("the busy app has the whole pool", || setup.daemon.app_pids().len() == 2);
    flood.let_pass(12);
    let begin = Instant::now();
    setup.nginx.get("/b").expect(200);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "the first answer took {took:?}");
    flood.let_pass(12);
    let report = flood.finish();
    assert_eq!(report.failures, Vec::<String>::new(), "visitors of the busy app lose nothing");
}

#[test]
fn busy_apps_share_too_few_processes_in_turn() {
    let setup = setup(1);
    let floods = ["/a", "/b"].map(|path| Load::on(setup.nginx.port(), path, 4));
    for _ in 0..3 {
        setup.nginx.get("/c").expect(200);
    }
    floods.iter().for_each(|flood| flood.let_pass(4));
    for flood in floods {
        assert_eq!(flood.finish().failures, Vec::<String>::new());
    }
}
