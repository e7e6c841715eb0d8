//! The picture of the status page in README.md, taken from a running daemon: `make screenshot`.

use std::fs;
use std::time::Duration;

use test_support::{Load, Request, TestDir, eventually_within, workspace};

/// Larger pictures make the repository heavy.
const LARGEST: usize = 200_000;

const CONF: &str = "
    %%GLOBALS%%
    events { worker_connections 512; }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        passenger_enabled on;
        server {
            listen 127.0.0.1:%%PORT%%;
            server_name shop.test;
            root %%DIR%%/shop/public;
            passenger_app_group_name shop.example.org;
            passenger_max_instances 1;
            location = /status { passenger_status; }
        }
        server {
            listen 127.0.0.1:%%PORT%%;
            server_name blog.test;
            root %%DIR%%/blog/public;
            passenger_app_group_name blog.example.org;
            passenger_min_instances 2;
            passenger_max_instances 2;
        }
    }
";

const SHOP: &str = "
    run ->(env) {
      sleep 0.01 until env['PATH_INFO'] != '/reports' || File.exist?('scratch/gate.go')
      [200, { 'Content-Type' => 'text/plain' }, ['served']]
    }
";

const BLOG: &str = "
import random, time

def application(environ, start_response):
    time.sleep(random.random() / 10)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'read']
";

#[test]
#[ignore = "`make screenshot` takes a new picture"]
fn the_status_page_is_photographed() {
    let test_dir = TestDir::new();
    test_dir.app("shop").ruby(SHOP);
    test_dir.app("blog").python(BLOG);
    let _daemon = test_dir.daemon().start();
    let nginx = test_dir.nginx(CONF).start();
    let load = Load::of(nginx.port(), &Request::get("/").header("Host", "blog.test"), 3);
    let mut report = nginx.connect();
    let mut basket = nginx.connect();
    nginx.get("/").expect(200);
    let chromium = test_dir.chromium();
    chromium.set_viewport(1100, 800, "light");
    chromium.open(&format!("http://127.0.0.1:{}/status", nginx.port()));
    eventually_within("the graphs have data", Duration::from_secs(120), || {
        chromium.run("return performance.now()").as_f64().is_some_and(|shown_for| shown_for > 30_000.0)
    });
    report.send(Request::get("/reports").bytes("close"));
    basket.send(Request::get("/reports").bytes("close"));
    let hangs = || chromium.run("return document.title").as_str().is_some_and(|title| title.contains("hang"));
    eventually_within("a request hangs", Duration::from_secs(30), hangs);
    let taken = chromium.screenshot("readme");
    test_dir.open_gate("gate");
    report.read_response().expect(200);
    basket.read_response().expect(200);
    assert_eq!(load.finish().failures, [""; 0]);
    fs::create_dir_all(workspace().join("docs/images")).unwrap();
    fs::copy(taken, workspace().join("docs/images/status-page.png")).unwrap();
}

#[test]
fn the_picture_is_small_enough_for_the_repository() {
    let picture = fs::read(workspace().join("docs/images/status-page.png")).expect("run `make screenshot`");
    assert!(picture.starts_with(b"\x89PNG"), "it is a PNG");
    assert!(picture.len() < LARGEST, "{} bytes", picture.len());
}
