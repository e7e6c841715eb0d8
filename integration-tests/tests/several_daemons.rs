//! One nginx with two daemons: each location names its daemon, and a failure of one does not affect apps of the other.

use test_support::{Daemon, Language, Nginx, Request, TestDir, eventually};

const CONF: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        server {
            listen 127.0.0.1:%%PORT%%;
            server_name blog.example;
            root %%DIR%%/blog/public;
            passenger_enabled on;
        }
        server {
            listen 127.0.0.1:%%PORT%%;
            server_name shop.example;
            root %%DIR%%/shop/public;
            passenger_fly_with unix:%%DIR%%/other.sock;
            passenger_enabled on;
            passenger_min_instances 2;
        }
    }
"#;

fn pid_of(nginx: &Nginx, app: &str) -> u32 {
    let request = Request::get("/pid").header("Host", &format!("{app}.example"));
    nginx.send(request).expect(200).text().trim().parse().unwrap()
}

/// `passenger-status` of this daemon: all daemons of a test share its registry.
fn status(daemon: &Daemon) -> String {
    let all = daemon.tool("passenger-config", &["list-instances", "--json"]);
    let all: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    let own = all.as_array().unwrap().iter().find(|each| each["pid"] == daemon.pid()).unwrap();
    let status = daemon.tool("passenger-status", &[own["name"].as_str().unwrap()]);
    assert!(status.status.success(), "{status:?}");
    String::from_utf8(status.stdout).unwrap()
}

fn processes(daemon: &Daemon) -> usize {
    status(daemon).matches("* PID:").count()
}

#[test]
fn each_location_uses_its_own_daemon() {
    let test_dir = TestDir::new();
    for app in ["blog", "shop"] {
        test_dir.app(app).standard(Language::Python);
    }
    let first = test_dir.daemon().start();
    let socket = format!("--socket-file={}", test_dir.path("other.sock").display());
    let log = format!("--log-file={}", test_dir.path("other.log").display());
    let mut second = test_dir.daemon().flag(&socket).flag(&log).start();
    let lines = Language::Python.directives();
    let nginx =
        test_dir.nginx(&CONF.replace("passenger_enabled on;", &format!("passenger_enabled on; {lines}")));
    let nginx = nginx.start();

    // Each receives from nginx its own apps only, before any request.
    let [blog, shop] = ["blog", "shop"].map(|app| format!("{}/{app} (", test_dir.dir().display()));
    eventually("the shop's processes are there", || processes(&second) == 2);
    assert!(status(&second).contains(&shop), "{}", status(&second));
    let before = [pid_of(&nginx, "blog"), pid_of(&nginx, "shop")];
    for (daemon, own, other) in [(&first, &blog, &shop), (&second, &shop, &blog)] {
        let status = status(daemon);
        assert!(status.contains(own.as_str()) && !status.contains(other.as_str()), "{status}");
    }

    nginx.reload();
    assert_eq!([pid_of(&nginx, "blog"), pid_of(&nginx, "shop")], before);
    second.stop();
    test_dir.expect_log_line("other.sock failed (2: No such file or directory)");
    assert_eq!(pid_of(&nginx, "blog"), before[0], "the end of one daemon is nothing to the other's app");
    let refused = nginx.send(Request::get("/pid").header("Host", "shop.example"));
    assert_eq!(refused.status(), 502);
    second.start_again();
    eventually("nginx has sent its roster to the new daemon", || processes(&second) == 2);
    assert_ne!(pid_of(&nginx, "shop"), before[1]);
    assert_eq!(pid_of(&nginx, "blog"), before[0]);
}
