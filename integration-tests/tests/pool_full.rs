//! A pool that is too small: what it costs is logged, counted and shown, with the remedy.

use serde_json::Value;
use test_support::{Connection, Language, Nginx, Request, TestDir, eventually, stays};

const CONF: &str = "%%GLOBALS%% events {} http { %%HTTP%% passenger_fly_with %%SOCKET%%; passenger_enabled on;
    server { listen 127.0.0.1:%%PORT%%; server_name first.test; root %%DIR%%/first/public; passenger_min_instances 2; }
    server { listen 127.0.0.1:%%PORT%%; server_name second.test; root %%DIR%%/second/public; passenger_min_instances 0; }
}";

fn apps(test_dir: &TestDir) {
    for name in ["first", "second"] {
        test_dir.app(name).standard(Language::Python);
    }
}

fn ask(nginx: &Nginx, host: &str, path: &str) -> Connection {
    let mut client = nginx.connect();
    client.send(Request::get(path).header("Host", host).bytes("close"));
    client
}

#[test]
fn an_eviction_is_logged_counted_and_shown() {
    let test_dir = TestDir::new();
    apps(&test_dir);
    let daemon = test_dir.daemon().flag("--max-pool-size=2").start();
    let nginx = test_dir.nginx(CONF).start();
    ask(&nginx, "first.test", "/").read_response().expect(200);
    eventually("both processes of the first app run", || daemon.app_pids().len() == 2);
    assert!(!daemon.status().contains("to make room for other apps"));

    ask(&nginx, "second.test", "/").read_response().expect(200);
    let [first, second] =
        ["first", "second"].map(|name| format!("{} (production)", test_dir.path(name).display()));
    daemon.logs_eventually(&format!(" ends to make room for app {second}, as the pool is full (2 processes); the app has 1 left; raise passenger_max_pool_size, as passenger_min_instances is 2"));
    assert!(daemon.log().contains(&format!("app {first}: process ")));
    let json = || -> Value {
        serde_json::from_slice(&daemon.tool("passenger-status", &["--show=json"]).stdout).unwrap()
    };
    let of = |pool: &Value, name: &str| {
        let groups = pool["groups"].as_array().unwrap();
        groups.iter().find(|group| group["name"] == *name).unwrap()["evictions"].as_u64().unwrap()
    };
    let pool = json();
    assert_eq!((of(&pool, &first), of(&pool, &second)), (1, 0));
    let status = daemon.status();
    assert!(status.contains("  (1 process ended to make room for other apps, the last "), "{status}");
    let metrics = daemon.tool("passenger-config", &["api-call", "GET", "/metrics"]).stdout;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(
        metrics.contains(&format!("flying_passenger_evictions_total{{app=\"{first}\"}} 1\n")),
        "{metrics}"
    );

    // Apps that take the room from each other have one line a minute each.
    for host in ["first.test", "second.test", "first.test", "second.test"] {
        ask(&nginx, host, "/").read_response().expect(200);
    }
    let lines = daemon.log().matches(" ends to make room for app ").count();
    assert!(lines <= 2, "{lines} lines: {}", daemon.log());
}

#[test]
fn a_full_pool_with_waiting_requests_is_a_problem_while_it_lasts() {
    let test_dir = TestDir::new();
    apps(&test_dir);
    let daemon = test_dir.daemon().flag("--max-pool-size=1").start();
    let nginx = test_dir.nginx(CONF).start();
    let mut clients: Vec<_> = (0..3).map(|_| ask(&nginx, "first.test", "/wait?name=gate")).collect();
    let problem = "the pool is full: 1 of 1 processes, and 2 requests of 1 app wait for room; raise \
                   passenger_max_pool_size if the machine has enough memory";
    daemon.logs_eventually(problem);
    eventually("the status shows it", || daemon.status().contains(&format!("Problem       : {problem}")));
    test_dir.open_gate("gate");
    for client in &mut clients {
        client.read_response().expect(200);
    }
    eventually("the status no longer shows it", || !daemon.status().contains("Problem"));
    assert_eq!(daemon.log().matches("the pool is full").count(), 1, "{}", daemon.log());
}

#[test]
fn an_app_at_its_own_limit_is_no_shortage_of_the_pool() {
    let test_dir = TestDir::new();
    apps(&test_dir);
    let daemon = test_dir.daemon().flag("--max-pool-size=1").start();
    let conf = CONF.replace("passenger_min_instances 2;", "passenger_max_instances 1;");
    let nginx = test_dir.nginx(&conf).start();
    let mut clients: Vec<_> = (0..2).map(|_| ask(&nginx, "first.test", "/wait?name=gate")).collect();
    eventually("a request waits", || daemon.status().contains("Requests in queue: 1"));
    let is_quiet = || !daemon.status().contains("Problem");
    stays("nothing is reported", std::time::Duration::from_millis(3500), is_quiet);
    test_dir.open_gate("gate");
    for client in &mut clients {
        client.read_response().expect(200);
    }
}
