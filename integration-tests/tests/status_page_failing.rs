//! Applications that do not start, and problems of the daemon, on the status page: they are seen without looking for them.

use test_support::{Chromium, Daemon, Language, Nginx, Request, TestDir, eventually};

/// With more than six, the rows are folded.
const APPS: usize = 8;

struct Page {
    chromium: Chromium,
    nginx: Nginx,
    daemon: Daemon,
    test_dir: TestDir,
}

impl Page {
    /// The last application does not start; every application had a request.
    fn opens(pool: usize) -> Self {
        let test_dir = TestDir::new();
        let mut servers = String::new();
        for number in 1..=APPS {
            let app = test_dir.app(&format!("app{number}"));
            let _ = match number {
                APPS => app.python("raise RuntimeError('password=hunter2 is wrong')"),
                _ => app.standard(Language::Python),
            };
            servers += &format!(
                "server {{ listen 127.0.0.1:%%PORT%%; server_name app{number}.test; root %%DIR%%/app{number}/public; \
                 location = /status {{ passenger_status; }} }}\n"
            );
        }
        let daemon = test_dir.daemon().flag(&format!("--max-pool-size={pool}")).start();
        let conf = format!(
            "%%GLOBALS%% events {{}} http {{ %%HTTP%% passenger_fly_with %%SOCKET%%; passenger_enabled on; {servers} }}"
        );
        let nginx = test_dir.nginx(&conf).start();
        for number in 1..APPS {
            nginx.send(Request::get("/").header("Host", &format!("app{number}.test"))).expect(200);
        }
        let broken = Request::get("/").header("Host", &format!("app{APPS}.test"));
        assert_eq!(nginx.send(broken).status(), 500);
        let chromium = test_dir.chromium();
        chromium.set_viewport(1280, 800, "light");
        chromium.open(&format!("http://127.0.0.1:{}/status", nginx.port()));
        Self { chromium, nginx, daemon, test_dir }
    }

    fn shows(&self, selector: &str, text: &str) {
        eventually(&format!("{selector} says {text}"), || self.chromium.text(selector).contains(text));
    }

    fn photographs(&self, name: &str) {
        for (width, height) in [(1280, 900), (400, 860)] {
            for scheme in ["light", "dark"] {
                self.chromium.set_viewport(width, height, scheme);
                let wide = self.chromium.run("return document.documentElement.scrollWidth").as_u64().unwrap();
                assert!(wide <= u64::from(width), "{name}: {wide} of {width} pixels");
                self.chromium.screenshot(&format!("status-{name}-{width}-{scheme}"));
            }
        }
        self.chromium.set_viewport(1280, 800, "light");
    }
}

#[test]
fn an_app_that_cannot_start_stands_out_on_the_page() {
    let page = Page::opens(APPS);
    let broken = format!("app{APPS} (production)");
    page.shows(".app:first-child h3", &broken);
    page.shows(".app:first-child .badges", "cannot start: 1 start failed");
    let open = "return document.querySelectorAll('.app[open]').length";
    assert_eq!(page.chromium.run(open), 0, "the rows are folded");
    let color = |selector: &str| {
        let script = format!("return getComputedStyle(document.querySelector('{selector}')).backgroundColor");
        page.chromium.run(&script)
    };
    assert_ne!(color(".app:first-child > summary"), color(".app:last-child > summary"));
    let names =
        "return [...document.querySelectorAll('.app h3')].map((name) => name.textContent.match(/app\\d/)[0])";
    let names = page.chromium.run(names);
    let names: Vec<_> = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["app8", "app1", "app2", "app3", "app4", "app5", "app6", "app7"],
        "the others are as before"
    );
    assert!(page.chromium.run("return document.title").as_str().unwrap().starts_with("(1 cannot start) "));

    // The tile leads to the application, whatever is filtered.
    page.shows(".tile.hangs", "Failures");
    page.shows(".tile.hangs", "1 app fails to start");
    page.photographs("failing-folded");
    page.chromium.run("byId('filter').value = 'app1'; filterApps()");
    page.chromium.run("document.querySelector('.tile.hangs a').click()");
    assert_eq!(
        page.chromium.run("return document.querySelector('.app[open] h3').textContent.includes('app8')"),
        true
    );

    // Its last failed start, without text of the app.
    let status = page.nginx.send(Request::get("/status?data").header("Host", "app1.test")).expect(200);
    assert!(!status.text().contains("hunter2"), "the app's message may contain secrets");
    let id = status.json()["apps"][APPS - 1]["last_error"]["id"].as_str().unwrap().to_owned();
    page.shows(".last-error summary", &format!("Last failed start: error ID {id}, "));
    page.chromium.run("document.querySelector('.app[open] .last-error summary').click()");
    page.shows(".app[open] .last-error", &format!("sudo passenger-config spawn-error {id}"));
    page.shows(".app[open] .last-error .failed", "failed after");
    page.photographs("failing-open");
    let report = page.daemon.tool("passenger-config", &["spawn-error", &id]);
    assert!(report.status.success(), "{report:?}");

    // It is repaired.
    page.test_dir.app(&format!("app{APPS}")).standard(Language::Python);
    let mended = Request::get("/").header("Host", &format!("app{APPS}.test"));
    eventually("the app starts", || page.nginx.send(mended.clone()).status() == 200);
    eventually("it is an application like the others", || {
        page.chromium.run("return document.querySelectorAll('.app.failing, .badge.hangs').length") == 0
    });
    assert_eq!(page.chromium.console_errors(), [""; 0]);
}

#[test]
fn a_pool_that_is_too_small_is_shown_on_the_page() {
    let page = Page::opens(2);
    let evicted = "return panels.get([...panels.keys()].find((name) => name.includes('app1'))).app.evictions";
    eventually("the page knows", || page.chromium.run(evicted).as_u64() >= Some(1));
    let open = "[...document.querySelectorAll('.app')].forEach((app) => { app.open = true; })";
    page.chromium.run(open);
    page.shows("#apps", "process ended: other applications needed room (max_pool_size)");
    page.shows("#apps", "fewer than passenger_min_instances 1: the pool is full");
    let mut clients: Vec<_> = (0..4)
        .map(|number| {
            let mut client = page.nginx.connect();
            let host = format!("app{}.test", 1 + number % 3);
            client.send(Request::get("/wait?name=gate").header("Host", &host).bytes("close"));
            client
        })
        .collect();
    page.shows("#problems", "the pool is full: 2 of 2 processes, and ");
    page.photographs("pool-full");
    page.test_dir.open_gate("gate");
    for client in &mut clients {
        client.read_response().expect(200);
    }
    eventually("it is resolved", || page.chromium.text("#problems").is_empty());
}
