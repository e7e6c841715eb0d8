//! The data of the status page: every app, its processes and counters, active requests; and its cost.

use std::time::Instant;

use serde_json::{Value, json};
use test_support::{Connection, Daemon, Language, Nginx, ONE_APP_CONF, OneApp, Request, TestDir, eventually};

const STATUS: &str = "location = /status { passenger_status; }";

/// A shop with one process and a secret, a blog, and an app that does not start.
const THREE_APPS: &str = "
    passenger_max_instances 1; passenger_env_var PASSWORD hunter2; location = /status { passenger_status; } }
    server { listen 127.0.0.1:%%PORT%%; server_name blog.test; root %%DIR%%/blog/public; passenger_enabled on; }
    server { listen 127.0.0.1:%%PORT%%; server_name broken.test; root %%DIR%%/broken/public; passenger_enabled on;
";

fn data(nginx: &Nginx) -> Value {
    nginx.get("/status?data").expect(200).json()
}

fn ask(nginx: &Nginx, path: &str, host: &str) -> Connection {
    let mut visitor = nginx.connect();
    visitor.send(Request::get(path).header("Host", host).bytes("close"));
    visitor
}

/// The three apps, each of which was asked once. What is dropped first comes first.
struct Site {
    nginx: Nginx,
    daemon: Daemon,
    test_dir: TestDir,
    /// Of the shop's process.
    pid: u64,
}

impl Site {
    fn opens() -> Self {
        let test_dir = TestDir::new();
        test_dir.app("app").standard(Language::Ruby);
        test_dir.app("blog").standard(Language::Python);
        test_dir.app("broken").ruby("raise 'broken'");
        let daemon = test_dir.daemon().start();
        let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", THREE_APPS)).start();
        let pid = nginx.get("/pid").expect(200).text().trim().parse().unwrap();
        nginx.send(Request::get("/").header("Host", "blog.test")).expect(200);
        assert_eq!(nginx.send(Request::get("/").header("Host", "broken.test")).status(), 500);
        Self { nginx, daemon, test_dir, pid }
    }
}

#[test]
fn every_app_has_its_processes_and_counters() {
    let site = Site::opens();
    let shown = data(&site.nginx);
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&shown["max_pool_size"], &shown["router_generation"]), (&json!(6), &json!(0)));
    let apps = shown["apps"].as_array().unwrap();
    let name = |app: &Value| app["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let names: Vec<_> = apps.iter().map(name).collect();
    assert_eq!(names, ["app (production)", "blog (production)", "broken (production)"]);
    let [app, blog, broken] = [0, 1, 2].map(|at| &apps[at]);
    let process = &app["processes"][0];
    assert_eq!((&process["pid"], &process["state"]), (&json!(site.pid), &json!("serving")));
    assert!(process["memory"].as_u64() > Some(0) && process["cpu_ms"].is_u64(), "{process}");
    assert_eq!((&app["app_type"], &app["mode"]), (&json!("ruby"), &json!("open")));
    for app in [app, blog] {
        assert_eq!((&app["finished"], &app["response_time"]["count"]), (&json!(1), &json!(1)));
        assert!(app["response_time"]["seconds"].as_f64() > Some(0.0), "{app}");
        let bounds = shown["bounds"].as_array().unwrap().len();
        assert_eq!(app["response_time"]["cumulative"].as_array().unwrap().len(), bounds);
    }
    assert_eq!((&broken["spawn_failures"], &broken["rejected"]["no_process"]), (&json!(1), &json!(1)));
    assert_eq!(broken["response_time"]["count"], 0, "no app answered");
    let id = broken["last_error_id"].as_str().unwrap();
    assert!(site.daemon.log().contains(&format!("[error ID {id}]")));
    assert!(!shown.to_string().contains("hunter2"), "settings may be secrets");
}

#[test]
fn waiting_and_active_requests_are_distinguished() {
    let site = Site::opens();
    let requests = || data(&site.nginx)["requests"].take();
    let mut busy = ask(&site.nginx, "/wait?name=gate&<b>", "localhost");
    eventually("one is with the app", || requests()["waiting"]["oldest"][0]["phase"] == "app");
    let mut queued = ask(&site.nginx, "/", "localhost");
    let mut streaming = ask(&site.nginx, "/stream?name=gate", "blog.test");
    eventually("one waits, one is answered", || {
        let requests = requests();
        requests["waiting"]["count"] == 2 && requests["responding"]["count"] == 1
    });
    let shown = data(&site.nginx);
    let waiting = &shown["requests"]["waiting"]["oldest"];
    assert_eq!((&waiting[0]["path"], &waiting[0]["pid"]), (&json!("/wait?name=gate&<b>"), &json!(site.pid)));
    assert_eq!((&waiting[1]["phase"], &waiting[1]["pid"]), (&json!("queued"), &Value::Null));
    assert_eq!(shown["requests"]["responding"]["oldest"][0]["path"], "/stream?name=gate");
    let [app, blog] = [0, 1].map(|at| &shown["apps"][at]);
    assert_eq!((&app["queue"], &app["processes"][0]["sessions"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&blog["response_time"]["count"], &blog["finished"]),
        (&json!(2), &json!(1)),
        "it has begun, and continues"
    );
    site.test_dir.open_gate("gate");
    for connection in [&mut busy, &mut queued, &mut streaming] {
        connection.read_response().expect(200);
    }
    eventually("no request is active", || requests()["waiting"]["count"] == 0);
}

#[test]
fn many_requests_are_counted_and_the_oldest_listed() {
    let lines = format!("passenger_max_request_queue_size 0; {STATUS}");
    let setup = OneApp::with(Language::Ruby, &lines, |daemon| daemon);
    setup.app_pid();
    let root = setup.app.dir().display().to_string();
    assert!(setup.daemon.tool("passenger-config", &["pause-app", &root]).status.success());
    let mut visitors: Vec<_> =
        (0..120).map(|at| ask(&setup.nginx, &format!("/?{at}"), "localhost")).collect();
    eventually("all requests wait", || data(&setup.nginx)["requests"]["waiting"]["count"] == 120);
    let shown = data(&setup.nginx);
    assert_eq!(shown["requests"]["waiting"]["oldest"].as_array().unwrap().len(), 100);
    assert_eq!((&shown["apps"][0]["mode"], &shown["apps"][0]["queue"]), (&"paused".into(), &120.into()));
    assert!(setup.daemon.tool("passenger-config", &["resume-app", &root]).status.success());
    visitors.iter_mut().for_each(|visitor| drop(visitor.read_response().expect(200)));
}

#[test]
fn many_viewers_cause_few_reads_of_the_pool() {
    let setup = OneApp::with(Language::Ruby, STATUS, |daemon| daemon);
    let began = Instant::now();
    let mut moments: Vec<_> = (0..200).map(|_| data(&setup.nginx)["router_ms"].as_u64().unwrap()).collect();
    let most = began.elapsed().as_millis() / 400 + 2;
    moments.dedup();
    assert!(moments.len() as u128 <= most, "{} looks where {most} are enough", moments.len());
}
