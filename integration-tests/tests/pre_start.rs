//! nginx speaks to the daemon before any visitor comes: the daemon's settings are there, and apps run that are named by
//! `passenger_pre_start`.

use std::process::Command;

use serde_json::Value;
use stage::{Daemon, Language, Nginx, Stage, eventually};

/// The app is served under one name only, so that the name counts.
const SHOP: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        passenger_max_pool_size 3;
        %%LINES%%
        server { listen 127.0.0.1:%%PORT%% default_server; return 404; }
        server {
            listen 127.0.0.1:%%PORT%%;
            server_name shop.example;
            root %%STAGE%%/app/public;
            passenger_enabled on;
            location /broken { passenger_enabled off; return 503; }
        }
    }
"#;

const VISIT: &str = "passenger_pre_start http://shop.example:%%PORT%%/;";

fn stage() -> Stage {
    let stage = Stage::new();
    stage.app("app").standard(Language::Ruby);
    stage
}

fn shop(stage: &Stage, lines: &str) -> Nginx {
    stage.nginx(&SHOP.replace("%%LINES%%", lines)).start()
}

#[track_caller]
fn starts_an_app(daemon: &Daemon) {
    eventually("an app runs that nobody has asked for", || daemon.app_pids().len() == 1);
}

/// Whether nginx's word on the pool's size counts.
fn knows_the_configuration(daemon: &Daemon) -> bool {
    let output = daemon.tool("passenger-config", &["settings", "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let options = shown["options"].as_array().cloned().unwrap_or_default();
    options.iter().any(|option| {
        option["name"] == "max_pool_size" && option["value"] == 3 && option["source"] == "nginx"
    })
}

#[test]
fn an_app_runs_before_anybody_asks_for_it() {
    let stage = stage();
    let daemon = stage.daemon().start();
    let nginx = shop(&stage, VISIT);
    starts_an_app(&daemon);
    assert!(knows_the_configuration(&daemon));
    assert!(!nginx.error_log().contains("passenger_pre_start"), "{}", nginx.error_log());
}

#[test]
fn the_daemon_knows_the_configuration_before_any_request() {
    let stage = stage();
    let daemon = stage.daemon().start();
    let _nginx = shop(&stage, "");
    eventually("the daemon has heard", || knows_the_configuration(&daemon));
    assert!(daemon.app_pids().is_empty());
}

#[test]
fn an_app_is_asked_for_by_tls_under_its_name() {
    let stage = stage();
    make_certificate(&stage);
    let daemon = stage.daemon().start();
    let port = stage.port();
    let tls = format!(
        "passenger_pre_start https://shop.example:{port}/;
         ssl_certificate %%STAGE%%/cert.pem; ssl_certificate_key %%STAGE%%/key.pem;
         server {{ listen 127.0.0.1:{port} ssl default_server; ssl_reject_handshake on; }}
         server {{ listen 127.0.0.1:{port} ssl; server_name shop.example;
                   root %%STAGE%%/app/public; passenger_enabled on; }}"
    );
    let nginx = shop(&stage, &tls);
    starts_an_app(&daemon);
    assert!(!nginx.error_log().contains("passenger_pre_start"), "{}", nginx.error_log());
}

fn make_certificate(stage: &Stage) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=elsewhere", "-days", "2"])
        .arg("-keyout")
        .arg(stage.path("key.pem"))
        .arg("-out")
        .arg(stage.path("cert.pem"))
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn a_restarted_daemon_hears_it_again_and_starts_the_app_again() {
    let stage = stage();
    let mut daemon = stage.daemon().start();
    let _nginx = shop(&stage, VISIT);
    starts_an_app(&daemon);
    daemon.stop();
    daemon.start_again();
    starts_an_app(&daemon);
    assert!(knows_the_configuration(&daemon));
}

#[test]
fn a_daemon_that_comes_after_nginx_is_told() {
    let stage = stage();
    let nginx = shop(&stage, VISIT);
    let advice = "cannot be told nginx's configuration yet";
    eventually("nginx has looked for the daemon", || nginx.error_log().contains(advice));
    let daemon = stage.daemon().start();
    starts_an_app(&daemon);
    assert!(knows_the_configuration(&daemon));
    assert_eq!(nginx.error_log().matches(advice).count(), 1, "{}", nginx.error_log());
}

#[test]
fn a_visit_under_way_delays_neither_reload_nor_stop() {
    let stage = stage();
    let _daemon = stage.daemon().start();
    let mut nginx = shop(&stage, "passenger_pre_start http://shop.example:%%PORT%%/wait?name=visit;");
    eventually("the app is visited", || stage.scratch("visit.arrived").exists());
    nginx.reload();
    nginx.stop();
    stage.open_gate("visit");
}

#[test]
fn what_goes_wrong_is_told_once_for_each_configuration() {
    let stage = stage();
    let _daemon = stage.daemon().start();
    let nobody = stage.port();
    let lines = format!(
        "passenger_pre_start http://me:secret@shop.example:%%PORT%%/broken;
         passenger_pre_start http://shop.example:{nobody}/;
         passenger_pre_start http://[::1]:{nobody}/;
         passenger_pre_start https://shop.example:%%PORT%%/;
         passenger_pre_start http://other.example:%%PORT%%/x;"
    );
    let nginx = shop(&stage, &lines);
    let here = nginx.port();
    let told = [
        format!(
            "passenger_pre_start http://shop.example:{here}/broken: the answer's status is 503; is this "
        ),
        format!(
            "passenger_pre_start http://shop.example:{nobody}/: there is no connection to 127.0.0.1:{nobody} ("
        ),
        format!("passenger_pre_start http://[::1]:{nobody}/: there is no connection to [::1]:{nobody} ("),
        format!("passenger_pre_start https://shop.example:{here}/: there is no TLS on the connection to "),
        format!("passenger_pre_start http://other.example:{here}/x: the answer's status is 404; is this "),
    ];
    let count = |line: &str| nginx.error_log().matches(line).count();
    for line in &told {
        eventually(line, || count(line) == 1);
    }
    assert!(!nginx.error_log().contains("secret"), "{}", nginx.error_log());
    nginx.reload();
    for line in &told {
        eventually(line, || count(line) == 2);
    }
}
