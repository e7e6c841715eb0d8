//! The status page in a real browser: it updates without a reload, fits a phone, and escapes what clients send.

use std::time::Duration;

use test_support::{Chromium, Connection, Daemon, Load, Nginx, Request, TestDir, eventually, stays};

/// A shop that one visitor at a time is served by, a blog, an application that does not start, and the page.
const CONF: &str = r#"
    %%GLOBALS%%
    events { worker_connections 512; }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        passenger_enabled on;
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%DIR%%/shop/public;
            passenger_max_instances 1;
            passenger_app_group_name shop<img/src=x/onerror=hacked=1>;
            location = /status { passenger_status; }
        }
        server { listen 127.0.0.1:%%PORT%%; server_name blog.test; root %%DIR%%/blog/public; }
        server { listen 127.0.0.1:%%PORT%%; server_name broken.test; root %%DIR%%/broken/public; }
    }
"#;

/// Waits for as long as the test wants.
const SHOP: &str = "
    run ->(env) {
      sleep 0.01 until env['PATH_INFO'] != '/wait' || File.exist?('scratch/gate.go')
      [200, { 'Content-Type' => 'text/plain' }, ['served']]
    }
";

/// Takes its time, so that a crowd of visitors is not all that the machine does.
const BLOG: &str = "
import time

def application(environ, start_response):
    time.sleep(0.02)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'read']
";

/// What a visitor asks for who would like to see it become an element of the page.
const HOSTILE: &str = "/wait?name=gate&<img/src=x/onerror=hacked=1>";

/// What is dropped first comes first.
struct LogSetup {
    chromium: Chromium,
    nginx: Nginx,
    daemon: Daemon,
    test_dir: TestDir,
}

impl LogSetup {
    fn begins() -> Self {
        let test_dir = TestDir::new();
        test_dir.app("shop").ruby(SHOP);
        test_dir.app("blog").python(BLOG);
        test_dir.app("broken").ruby("raise 'it does not start'");
        let daemon = test_dir.daemon().start();
        let nginx = test_dir.nginx(CONF).start();
        nginx.get("/").expect(200);
        let chromium = test_dir.chromium();
        chromium.set_viewport(1280, 800, "light");
        chromium.open(&format!("http://127.0.0.1:{}/status", nginx.port()));
        // What a reload would take away.
        chromium.run("window.notReloaded = true");
        Self { chromium, nginx, daemon, test_dir }
    }

    fn ask(&self, path: &str) -> Connection {
        let mut visitor = self.nginx.connect();
        visitor.send(Request::get(path).bytes("close"));
        visitor
    }

    /// The rows of the requests that wait at a gate: age in seconds, request, phase and mark.
    /// Those that are answered at once appear and disappear beside them.
    fn waiting(&self) -> Vec<(f64, String, String, String)> {
        let script = "return [...document.querySelectorAll('#requests tbody tr')].map((row) => \
            ['.age .value > :first-child', '.request code', '.phase .value', '.verdict'] \
            .map((cell) => row.querySelector(cell).textContent))";
        let rows = self.chromium.run(script);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| {
            let [age, request, phase, verdict] = [0, 1, 2, 3].map(|at| row[at].as_str().unwrap().to_owned());
            (age.split(' ').next().unwrap().parse().unwrap(), request, phase, verdict)
        })
        .filter(|(_, request, _, _)| request.starts_with("GET /wait"))
        .collect()
    }

    fn shows(&self, selector: &str, text: &str) {
        eventually(&format!("{selector} says {text}"), || self.chromium.text(selector).contains(text));
    }

    fn was_not_reloaded(&self) {
        assert_eq!(self.chromium.run("return window.notReloaded"), true, "the page was loaded again");
    }
}

#[test]
fn changes_appear_live_and_hanging_requests_are_marked() {
    let setup = LogSetup::begins();
    setup.shows("#state", "Live");
    setup.shows(".app h3", "shop<img/src=x/onerror=hacked=1>");
    assert!(!setup.chromium.text("#apps").contains("blog"), "the blog has had no request yet");

    // Others arrive while the page is shown.
    let broken = Request::get("/").header("Host", "broken.test");
    assert_eq!(setup.nginx.send(broken).status(), 500);
    let load = Load::of(setup.nginx.port(), &Request::get("/").header("Host", "blog.test"), 2);
    setup.shows("#apps", "blog");
    setup.shows("#apps", "1 process failed to start");
    eventually("the blog's rate is counted", || {
        let script =
            "return panels.get([...panels.keys()].find((name) => name.includes('blog'))).history.rate()";
        setup.chromium.run(script).as_f64().is_some_and(|rate| rate > 1.0)
    });

    let mut first = setup.ask(HOSTILE);
    eventually("the first is with the app", || setup.waiting().iter().any(|row| row.2.starts_with("app")));
    let mut second = setup.ask("/wait?name=gate&second");
    eventually("the second request waits", || setup.waiting().len() == 2);
    let rows = setup.waiting();
    assert_eq!(rows[0].1, format!("GET {HOSTILE}"), "the oldest comes first");
    assert_eq!((rows[1].1.as_str(), rows[1].2.trim()), ("GET /wait?name=gate&second", "queued"));
    eventually("its age grows", || setup.waiting()[0].0 > rows[0].0 + 1.0);
    eventually("it is shown as slow", || setup.waiting()[0].3 == "slow");
    eventually("it is shown as hanging", || setup.waiting()[0].3 == "hangs");
    assert!(setup.chromium.run("return document.title").as_str().unwrap().contains("hang"));
    fits_every_screen(&setup.chromium);

    setup.test_dir.open_gate("gate");
    first.read_response().expect(200);
    second.read_response().expect(200);
    eventually("nothing waits any more", || setup.waiting().is_empty());
    assert_eq!(load.finish().failures, [""; 0]);
    setup.shows("#requests-summary", "None");
    assert_eq!(setup.chromium.run("return window.hacked ?? null"), serde_json::Value::Null);
    assert_eq!(setup.chromium.run("return document.images.length"), 0);
    setup.was_not_reloaded();
    assert_eq!(setup.chromium.console_errors(), [""; 0]);
}

/// Screenshots on a large screen and on a phone, light and dark: nothing overflows the width.
fn fits_every_screen(chromium: &Chromium) {
    for (name, width, height) in [("desktop", 1280, 800), ("phone", 375, 812), ("narrow", 320, 640)] {
        for scheme in ["light", "dark"] {
            chromium.set_viewport(width, height, scheme);
            // Graphs are drawn again for the width.
            eventually("the graphs have the width", || {
                let script = "return [...document.querySelectorAll('.plot')].every((plot) => \
                    plot.viewBox.baseVal.width === plot.parentElement.clientWidth)";
                chromium.run(script) == true
            });
            let setup = chromium.run("return document.documentElement.scrollWidth").as_u64().unwrap();
            let script = format!(
                "return [...document.querySelectorAll('body *')] \
                 .filter((each) => each.getBoundingClientRect().right > {width}) \
                 .map((each) => each.outerHTML.slice(0, 200))"
            );
            let too_wide = chromium.run(&script);
            assert!(setup <= u64::from(width), "{name}: {setup} of {width} pixels: {too_wide}");
            if name != "narrow" {
                chromium.screenshot(&format!("status-{name}-{scheme}"));
            }
        }
    }
    chromium.set_viewport(1280, 800, "light");
}

#[test]
fn the_page_polls_every_second_only_while_visible() {
    let setup = LogSetup::begins();
    let asked =
        || setup.chromium.run("return performance.getEntriesByType('resource').length").as_u64().unwrap();
    eventually("it has polled several times", || asked() >= 4);
    let script = "const began = performance.getEntriesByType('resource').map((each) => each.startTime); \
        return Math.min(...began.slice(1).map((each, at) => each - began[at]))";
    let shortest = setup.chromium.run(script).as_f64().unwrap();
    assert!(shortest > 900.0, "{shortest} ms lie between two questions");

    let turn = |hidden: bool| {
        setup.chromium.run(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        ));
    };
    turn(true);
    // One question may be on its way.
    let before = asked() + 1;
    stays("no request is sent", Duration::from_millis(2500), || asked() <= before);
    turn(false);
    eventually("it continues", || asked() > before + 1);
    setup.was_not_reloaded();
}

#[test]
fn the_page_reports_a_lost_server_and_recovers() {
    let mut setup = LogSetup::begins();
    setup.shows("#state", "Live");
    assert_eq!(setup.chromium.text("#alarm"), "");
    setup.test_dir.expect_log_line("fly.sock failed");
    setup.daemon.stop();
    setup.shows("#alarm", "flying-passenger does not respond: the web server returns status 502.");
    setup.shows("#alarm", "The data shown is from ");
    setup.shows("#state", "No response");
    setup.chromium.set_viewport(375, 812, "light");
    setup.chromium.screenshot("status-phone-old");

    setup.nginx.stop();
    setup.shows("#alarm", "The web server cannot be reached.");
    setup.daemon.start_again();
    setup.nginx.start_again();
    setup.shows("#state", "Live");
    assert_eq!(setup.chromium.text("#alarm"), "");
    // The router is a new one, and its counters start at zero.
    setup.nginx.get("/").expect(200);
    setup.shows(".app h3", "shop");
    setup.was_not_reloaded();
    let others = setup.chromium.console_errors();
    let others: Vec<_> = others.iter().filter(|line| !line.contains("Failed to load resource")).collect();
    assert!(others.is_empty(), "{others:?}");
}
