//! The roster of configured apps: `passenger_min_instances` processes start before the first request, removed apps are
//! stopped, and stopping nginx changes nothing.

use stage::{Daemon, Language, Nginx, Request, Stage, eventually, stays};
use std::time::Duration;

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
        "server {{ listen 127.0.0.1:%%PORT%%; server_name {app}.example; root %%STAGE%%/{app}/public;
                   passenger_enabled on; {lines} }}"
    )
}

struct Scene {
    nginx: Nginx,
    daemon: Daemon,
    stage: Stage,
}

impl Scene {
    fn new(servers: &[&str]) -> Self {
        let stage = Stage::new();
        for app in ["blog", "shop"] {
            stage.app(app).standard(Language::Ruby);
        }
        let daemon = stage.daemon().start();
        let nginx = stage.nginx(&conf(servers)).start();
        Self { nginx, daemon, stage }
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
fn processes_that_are_to_be_kept_are_there_before_the_first_request() {
    let scene = Scene::new(&[&server("blog", "passenger_min_instances 2;"), &server("shop", "")]);
    eventually("two processes run", || scene.daemon.app_pids().len() == 2);
    assert!(scene.knows("blog"));
    assert!(!scene.knows("shop"), "one without the directive waits for its first request");
    let pid = scene.pid_of("blog");
    assert!(scene.daemon.app_pids().contains(&pid));
}

#[test]
fn they_are_there_again_when_the_daemon_was_restarted() {
    let mut scene = Scene::new(&[&server("blog", "passenger_min_instances 2;")]);
    eventually("two processes run", || scene.daemon.app_pids().len() == 2);
    scene.daemon.stop();
    scene.daemon.start_again();
    eventually("two processes run again", || scene.daemon.app_pids().len() == 2);
}

#[test]
fn an_app_below_a_base_uri_is_started_as_its_requests_want_it() {
    let stage = Stage::new();
    stage.app("blog").standard(Language::Ruby);
    stage.app("www").file("public/index.html", "front");
    let mounted = "location ~ ^/blog(/.*|$) { alias %%STAGE%%/blog/public$1; passenger_base_uri /blog;
        passenger_app_root %%STAGE%%/blog; passenger_document_root %%STAGE%%/blog/public;
        passenger_min_instances 1; passenger_enabled on; }";
    let servers = format!(
        "server {{ listen 127.0.0.1:%%PORT%%; server_name www.example; root %%STAGE%%/www/public; {mounted} }}"
    );
    let daemon = stage.daemon().start();
    let nginx = stage.nginx(&conf(&[&servers])).start();
    eventually("its process runs", || daemon.app_pids().len() == 1);
    let before = daemon.app_pids();
    let request = Request::get("/blog/pid").header("Host", "www.example");
    assert_eq!(nginx.send(request).expect(200).text().trim(), before[0].to_string());
    assert_eq!(daemon.app_pids(), before);
}

#[test]
fn an_app_that_is_taken_out_goes_away_and_the_others_stay() {
    let [blog, shop] = [server("blog", "passenger_min_instances 2;"), server("shop", "")];
    let scene = Scene::new(&[&blog, &shop]);
    let (shop_pid, _) = (scene.pid_of("shop"), scene.pid_of("blog"));
    eventually("three processes run", || scene.daemon.app_pids().len() == 3);
    scene.reconfigure(&[&shop]);
    eventually("only the shop is left", || scene.daemon.app_pids() == [shop_pid]);
    eventually("the blog is forgotten", || !scene.knows("blog"));
    assert_eq!(scene.pid_of("shop"), shop_pid);

    scene.reconfigure(&[&blog, &shop]);
    eventually("the blog is back", || scene.daemon.app_pids().len() == 3);
    scene.pid_of("blog");
    assert_eq!(scene.pid_of("shop"), shop_pid);
}

#[test]
fn an_app_that_is_taken_out_finishes_its_requests() {
    let [blog, shop] = [server("blog", ""), server("shop", "")];
    let scene = Scene::new(&[&blog, &shop]);
    let pid = scene.pid_of("blog");
    let gated = Request::get("/wait?name=late").header("Host", "blog.example");
    let mut waiting = scene.nginx.connect();
    waiting.send(gated.bytes("close"));
    eventually("the request is in the app", || scene.stage.scratch("late.arrived").exists());
    scene.nginx.configure(&conf(&[&shop]));
    scene.nginx.begin_reload();
    scene
        .daemon
        .logs_eventually("no longer in nginx's configuration; its processes end after their requests");
    assert_eq!(scene.daemon.app_pids(), [pid]);
    scene.stage.open_gate("late");
    waiting.read_response().expect(200);
    eventually("it has gone", || scene.daemon.app_pids().is_empty());
}

#[test]
fn nginx_may_stop_and_no_app_goes() {
    let mut scene = Scene::new(&[&server("blog", ""), &server("shop", "")]);
    let before = (scene.pid_of("blog"), scene.pid_of("shop"));
    scene.nginx.stop();
    stays("both run", Duration::from_millis(300), || scene.daemon.app_pids().len() == 2);
    scene.nginx.start_again();
    assert_eq!((scene.pid_of("blog"), scene.pid_of("shop")), before);
}

#[test]
fn what_was_taken_out_while_nginx_was_stopped_goes_when_it_is_back() {
    let [blog, shop] = [server("blog", ""), server("shop", "")];
    let mut scene = Scene::new(&[&blog, &shop]);
    let (_, shop_pid) = (scene.pid_of("blog"), scene.pid_of("shop"));
    scene.nginx.stop();
    scene.nginx.configure(&conf(&[&shop]));
    scene.nginx.start_again();
    eventually("only the shop is left", || scene.daemon.app_pids() == [shop_pid]);
}

#[test]
fn a_second_nginx_has_apps_of_its_own() {
    let [blog, shop] = [server("blog", ""), server("shop", "")];
    let mut scene = Scene::new(&[&blog]);
    let other = scene.stage.nginx(&conf(&[&shop])).start();
    let before = (scene.pid_of("blog"), pid_of(&other, "shop"));
    scene.reconfigure(&[&blog]);
    scene.nginx.stop();
    other.reload();
    assert_eq!(pid_of(&other, "shop"), before.1);
    scene.nginx.start_again();
    assert_eq!((scene.pid_of("blog"), pid_of(&other, "shop")), before);
}

#[test]
fn where_only_requests_can_tell_nothing_is_taken_away() {
    let varying = "server { listen 127.0.0.1:%%PORT%%; server_name ~^(?<app>[a-z]+)[.]example$;
        root %%STAGE%%/$app/public; passenger_enabled on; %%MORE%% }";
    let scene = Scene::new(&[&varying.replace("%%MORE%%", "")]);
    let before = (scene.pid_of("blog"), scene.pid_of("shop"));
    scene.reconfigure(&[&varying.replace("%%MORE%%", "client_max_body_size 7m;")]);
    assert_eq!((scene.pid_of("blog"), scene.pid_of("shop")), before);
}
