//! The roster of configured apps: `passenger_min_instances` processes start before the first request, removed apps are
//! stopped, and stopping nginx changes nothing.

use std::time::Duration;
use test_support::{Daemon, Language, Nginx, Request, TestDir, eventually, stays};

/// Servers by name, one for each app; `%%SERVERS%%` takes them.
const CONF: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        passenger_max_pool_size 10;
        server { listen 127.0.0.1:%%PORT%% default_server; return 404; }
        %%SERVERS%%
    }
"#;

fn conf(servers: &[&str]) -> String {
    CONF.replace("%%SERVERS%%", &servers.concat())
}

/// A server for the app of this name, with more lines.
fn server(app: &str, lines: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:%%PORT%%; server_name {app}.example; root %%DIR%%/{app}/public;
                   passenger_enabled on; {lines} }}"
    )
}

struct Setup {
    nginx: Nginx,
    daemon: Daemon,
    test_dir: TestDir,
}

impl Setup {
    fn new(servers: &[&str]) -> Self {
        let test_dir = TestDir::new();
        for app in ["blog", "shop"] {
            test_dir.app(app).standard(Language::Ruby);
        }
        let daemon = test_dir.daemon().start();
        let nginx = test_dir.nginx(&conf(servers)).start();
        Self { nginx, daemon, test_dir }
    }

    fn reconfigure(&self, servers: &[&str]) {
        self.nginx.configure(&conf(servers));
        self.nginx.reload();
    }

    fn pid_of(&self, app: &str) -> u32 {
        pid_of(&self.nginx, app)
    }

    fn knows(&self, app: &str) -> bool {
        self.daemon.status().contains(&format!("/{app} (production)"))
    }
}

fn pid_of(nginx: &Nginx, app: &str) -> u32 {
    let request = Request::get("/pid").header("Host", &format!("{app}.example"));
    nginx.send(request).expect(200).text().trim().parse().expect("a PID")
}

#[test]
fn min_instances_run_before_the_first_request() {
    let setup = Setup::new(&[&server("blog", "passenger_min_instances 2;"), &server("shop", "")]);
    eventually("two processes run", || setup.daemon.app_pids().len() == 2);
    assert!(setup.knows("blog"));
    assert!(!setup.knows("shop"), "one without the directive waits for its first request");
    let pid = setup.pid_of("blog");
    assert!(setup.daemon.app_pids().contains(&pid));
}

#[test]
fn min_instances_run_after_a_daemon_restart() {
    let mut setup = Setup::new(&[&server("blog", "passenger_min_instances 2;")]);
    eventually("two processes run", || setup.daemon.app_pids().len() == 2);
    setup.daemon.stop();
    setup.daemon.start_again();
    eventually("two processes run again", || setup.daemon.app_pids().len() == 2);
}

#[test]
fn an_app_below_a_base_uri_starts_with_the_right_settings() {
    let test_dir = TestDir::new();
    test_dir.app("blog").standard(Language::Ruby);
    test_dir.app("www").file("public/index.html", "front");
    let mounted = "location ~ ^/blog(/.*|$) { alias %%DIR%%/blog/public$1; passenger_base_uri /blog;
        passenger_app_root %%DIR%%/blog; passenger_document_root %%DIR%%/blog/public;
        passenger_min_instances 1; passenger_enabled on; }";
    let servers = format!(
        "server {{ listen 127.0.0.1:%%PORT%%; server_name www.example; root %%DIR%%/www/public; {mounted} }}"
    );
    let daemon = test_dir.daemon().start();
    let nginx = test_dir.nginx(&conf(&[&servers])).start();
    eventually("its process runs", || daemon.app_pids().len() == 1);
    let before = daemon.app_pids();
    let request = Request::get("/blog/pid").header("Host", "www.example");
    assert_eq!(nginx.send(request).expect(200).text().trim(), before[0].to_string());
    assert_eq!(daemon.app_pids(), before);
}

#[test]
fn an_app_removed_from_nginx_is_stopped_and_others_stay() {
    let [blog, shop] = [server("blog", "passenger_min_instances 2;"), server("shop", "")];
    let setup = Setup::new(&[&blog, &shop]);
    let (shop_pid, _) = (setup.pid_of("shop"), setup.pid_of("blog"));
    eventually("three processes run", || setup.daemon.app_pids().len() == 3);
    setup.reconfigure(&[&shop]);
    eventually("only the app shop remains", || setup.daemon.app_pids() == [shop_pid]);
    eventually("the blog is forgotten", || !setup.knows("blog"));
    assert_eq!(setup.pid_of("shop"), shop_pid);

    setup.reconfigure(&[&blog, &shop]);
    eventually("the blog is back", || setup.daemon.app_pids().len() == 3);
    setup.pid_of("blog");
    assert_eq!(setup.pid_of("shop"), shop_pid);
}

#[test]
fn an_app_removed_from_nginx_finishes_its_requests() {
    let [blog, shop] = [server("blog", ""), server("shop", "")];
    let setup = Setup::new(&[&blog, &shop]);
    let pid = setup.pid_of("blog");
    let gated = Request::get("/wait?name=late").header("Host", "blog.example");
    let mut waiting = setup.nginx.connect();
    waiting.send(gated.bytes("close"));
    eventually("the request is in the app", || setup.test_dir.scratch("late.arrived").exists());
    setup.nginx.configure(&conf(&[&shop]));
    setup.nginx.begin_reload();
    setup
        .daemon
        .logs_eventually("no longer in nginx's configuration; its processes end after their requests");
    assert_eq!(setup.daemon.app_pids(), [pid]);
    setup.test_dir.open_gate("late");
    waiting.read_response().expect(200);
    eventually("it has gone", || setup.daemon.app_pids().is_empty());
}

#[test]
fn apps_keep_running_while_nginx_is_stopped() {
    let mut setup = Setup::new(&[&server("blog", ""), &server("shop", "")]);
    let before = (setup.pid_of("blog"), setup.pid_of("shop"));
    setup.nginx.stop();
    stays("both run", Duration::from_millis(300), || setup.daemon.app_pids().len() == 2);
    setup.nginx.start_again();
    assert_eq!((setup.pid_of("blog"), setup.pid_of("shop")), before);
}

#[test]
fn apps_removed_while_nginx_was_stopped_are_stopped_later() {
    let [blog, shop] = [server("blog", ""), server("shop", "")];
    let mut setup = Setup::new(&[&blog, &shop]);
    let (_, shop_pid) = (setup.pid_of("blog"), setup.pid_of("shop"));
    setup.nginx.stop();
    setup.nginx.configure(&conf(&[&shop]));
    setup.nginx.start_again();
    eventually("only the app shop remains", || setup.daemon.app_pids() == [shop_pid]);
}

#[test]
fn a_second_nginx_has_its_own_apps() {
    let [blog, shop] = [server("blog", ""), server("shop", "")];
    let mut setup = Setup::new(&[&blog]);
    let other = setup.test_dir.nginx(&conf(&[&shop])).start();
    let before = (setup.pid_of("blog"), pid_of(&other, "shop"));
    setup.reconfigure(&[&blog]);
    setup.nginx.stop();
    other.reload();
    assert_eq!(pid_of(&other, "shop"), before.1);
    setup.nginx.start_again();
    assert_eq!((setup.pid_of("blog"), pid_of(&other, "shop")), before);
}

#[test]
fn apps_known_by_requests_only_are_not_stopped() {
    let varying = "server { listen 127.0.0.1:%%PORT%%; server_name ~^(?<app>[a-z]+)[.]example$;
        root %%DIR%%/$app/public; passenger_enabled on; %%MORE%% }";
    let setup = Setup::new(&[&varying.replace("%%MORE%%", "")]);
    let before = (setup.pid_of("blog"), setup.pid_of("shop"));
    setup.reconfigure(&[&varying.replace("%%MORE%%", "client_max_body_size 7m;")]);
    assert_eq!((setup.pid_of("blog"), setup.pid_of("shop")), before);
}
