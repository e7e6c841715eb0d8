//! The status page in a real browser: it updates without a reload, fits a phone, and escapes what clients send.

use std::time::Duration;

use stage::{Chromium, Connection, Daemon, Load, Nginx, Request, Stage, eventually, stays};

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
            root %%STAGE%%/shop/public;
            passenger_max_instances 1;
            passenger_app_group_name shop<img/src=x/onerror=hacked=1>;
            location = /status { passenger_status; }
        }
        server { listen 127.0.0.1:%%PORT%%; server_name blog.test; root %%STAGE%%/blog/public; }
        server { listen 127.0.0.1:%%PORT%%; server_name broken.test; root %%STAGE%%/broken/public; }
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
struct Night {
    chromium: Chromium,
    nginx: Nginx,
    daemon: Daemon,
    stage: Stage,
}

impl Night {
    fn begins() -> Self {
        let stage = Stage::new();
        stage.app("shop").ruby(SHOP);
        stage.app("blog").python(BLOG);
        stage.app("broken").ruby("raise 'it does not start'");
        let daemon = stage.daemon().start();
        let nginx = stage.nginx(CONF).start();
        nginx.get("/").expect(200);
        let chromium = stage.chromium();
        chromium.look(1280, 800, "light");
        chromium.open(&format!("http://127.0.0.1:{}/status", nginx.port()));
        // What a reload would take away.
        chromium.run("window.notReloaded = true");
        Self { chromium, nginx, daemon, stage }
    }

    fn ask(&self, path: &str) -> Connection {
        let mut visitor = self.nginx.connect();
        visitor.send(Request::get(path).bytes("close"));
        visitor
    }

    /// The rows of the requests that wait at a gate: age in seconds, request, phase and mark.
    /// Those that are answered at once come and go beside them.
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
        assert_eq!(self.chromium.run("return window.notReloaded"), true, "the page was loaded anew");
    }
}

#[test]
fn what_happens_is_shown_without_a_reload_and_what_hangs_stands_out() {
    let night = Night::begins();
    night.shows("#state", "Live");
    night.shows(".app h3", "shop<img/src=x/onerror=hacked=1>");
    assert!(!night.chromium.text("#apps").contains("blog"), "nobody has asked the blog yet");

    // Others come while the page is looked at.
    let broken = Request::get("/").header("Host", "broken.test");
    assert_eq!(night.nginx.send(broken).status(), 500);
    let load = Load::of(night.nginx.port(), &Request::get("/").header("Host", "blog.test"), 2);
    night.shows("#apps", "blog");
    night.shows("#apps", "1 process failed to start");
    eventually("the blog's rate is counted", || {
        let script =
            "return panels.get([...panels.keys()].find((name) => name.includes('blog'))).history.rate()";
        night.chromium.run(script).as_f64().is_some_and(|rate| rate > 1.0)
    });

    let mut first = night.ask(HOSTILE);
    eventually("the first is with the app", || night.waiting().iter().any(|row| row.2.starts_with("app")));
    let mut second = night.ask("/wait?name=gate&second");
    eventually("the second waits", || night.waiting().len() == 2);
    let rows = night.waiting();
    assert_eq!(rows[0].1, format!("GET {HOSTILE}"), "the oldest comes first");
    assert_eq!((rows[1].1.as_str(), rows[1].2.trim()), ("GET /wait?name=gate&second", "queued"));
    eventually("its age grows", || night.waiting()[0].0 > rows[0].0 + 1.0);
    eventually("it is said to be slow", || night.waiting()[0].3 == "slow");
    eventually("it is said to hang", || night.waiting()[0].3 == "hangs");
    assert!(night.chromium.run("return document.title").as_str().unwrap().contains("hang"));
    fits_every_screen(&night.chromium);

    night.stage.open_gate("gate");
    first.read_response().expect(200);
    second.read_response().expect(200);
    eventually("nothing waits any more", || night.waiting().is_empty());
    assert_eq!(load.finish().failures, [""; 0]);
    night.shows("#requests-summary", "None");
    assert_eq!(night.chromium.run("return window.hacked ?? null"), serde_json::Value::Null);
    assert_eq!(night.chromium.run("return document.images.length"), 0);
    night.was_not_reloaded();
    assert_eq!(night.chromium.complaints(), [""; 0]);
}

/// Screenshots on a large screen and on a phone, light and dark: nothing overflows the width.
fn fits_every_screen(chromium: &Chromium) {
    for (name, width, height) in [("desktop", 1280, 800), ("phone", 375, 812), ("narrow", 320, 640)] {
        for scheme in ["light", "dark"] {
            chromium.look(width, height, scheme);
            // Graphs are drawn again for the width.
            eventually("the graphs have the width", || {
                let script = "return [...document.querySelectorAll('.plot')].every((plot) => \
                    plot.viewBox.baseVal.width === plot.parentElement.clientWidth)";
                chromium.run(script) == true
            });
            let wide = chromium.run("return document.documentElement.scrollWidth").as_u64().unwrap();
            let script = format!(
                "return [...document.querySelectorAll('body *')] \
                 .filter((each) => each.getBoundingClientRect().right > {width}) \
                 .map((each) => each.outerHTML.slice(0, 200))"
            );
            let too_wide = chromium.run(&script);
            assert!(wide <= u64::from(width), "{name}: {wide} of {width} pixels: {too_wide}");
            if name != "narrow" {
                chromium.photograph(&format!("status-{name}-{scheme}"));
            }
        }
    }
    chromium.look(1280, 800, "light");
}

#[test]
fn it_asks_once_a_second_and_not_while_nobody_looks() {
    let night = Night::begins();
    let asked =
        || night.chromium.run("return performance.getEntriesByType('resource').length").as_u64().unwrap();
    eventually("it has asked a few times", || asked() >= 4);
    let script = "const began = performance.getEntriesByType('resource').map((each) => each.startTime); \
        return Math.min(...began.slice(1).map((each, at) => each - began[at]))";
    let shortest = night.chromium.run(script).as_f64().unwrap();
    assert!(shortest > 900.0, "{shortest} ms lie between two questions");

    let turn = |hidden: bool| {
        night.chromium.run(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        ));
    };
    turn(true);
    // One question may be on its way.
    let before = asked() + 1;
    stays("nobody is asked", Duration::from_millis(2500), || asked() <= before);
    turn(false);
    eventually("it goes on", || asked() > before + 1);
    night.was_not_reloaded();
}

#[test]
fn it_says_when_nobody_answers_any_more_and_recovers_by_itself() {
    let mut night = Night::begins();
    night.shows("#state", "Live");
    assert_eq!(night.chromium.text("#alarm"), "");
    night.stage.expect_log_line("fly.sock failed");
    night.daemon.stop();
    night.shows("#alarm", "flying-passenger does not respond: the web server returns status 502.");
    night.shows("#alarm", "The data shown is from ");
    night.shows("#state", "No response");
    night.chromium.look(375, 812, "light");
    night.chromium.photograph("status-phone-old");

    night.nginx.stop();
    night.shows("#alarm", "The web server cannot be reached.");
    night.daemon.start_again();
    night.nginx.start_again();
    night.shows("#state", "Live");
    assert_eq!(night.chromium.text("#alarm"), "");
    // The router is a new one, and its counters start at zero.
    night.nginx.get("/").expect(200);
    night.shows(".app h3", "shop");
    night.was_not_reloaded();
    let others = night.chromium.complaints();
    let others: Vec<_> = others.iter().filter(|line| !line.contains("Failed to load resource")).collect();
    assert!(others.is_empty(), "{others:?}");
}
