//! The main promise: app processes survive whatever happens to nginx and the router.

use stage::{Language, Load, Scene, for_each_language, is_alive};

for_each_language! {
    fn says_hello_through_nginx(language) {
        let scene = Scene::of(language);
        let hello = format!("hello from {}\n", language.name());
        let response = scene.nginx.get("/").expect(200);
        assert_eq!(response.text(), hello);
        assert_eq!(response.header("Content-Length"), Some(hello.len().to_string().as_str()));
        assert_eq!(response.header("Content-Type"), Some("text/plain"));
    }

    fn keeps_its_process_whatever_happens_to_nginx(language) {
        let mut scene = Scene::of(language);
        let pid = scene.app_pid();

        scene.nginx.reload();
        assert_eq!(scene.app_pid(), pid, "after a reload");

        scene.nginx.stop();
        assert!(is_alive(pid), "while nginx is stopped");
        scene.nginx.start_again();
        assert_eq!(scene.app_pid(), pid, "after stop and start");

        scene.nginx.usr2_upgrade();
        assert_eq!(scene.app_pid(), pid, "after a binary upgrade");

        scene.nginx.kill_9_everything();
        assert!(is_alive(pid), "while nginx is dead");
        scene.nginx.start_again();
        assert_eq!(scene.app_pid(), pid, "after kill -9");
    }

    fn keeps_its_process_when_the_router_is_killed(language) {
        let scene = Scene::of(language);
        let pid = scene.app_pid();
        for _ in 0..3 {
            scene.daemon.kill_router();
            assert_eq!(scene.app_pid(), pid);
        }
    }
}

#[test]
fn a_request_right_after_the_routers_death_is_answered() {
    let scene = Scene::of(Language::Ruby);
    let pid = scene.app_pid();
    // Not waiting for the next router: the connection stays in the backlog of the socket.
    stage::kill_9(scene.daemon.router());
    assert_eq!(scene.app_pid(), pid);
}

#[test]
fn loses_no_request_when_nginx_reloads_under_load() {
    let scene = Scene::of(Language::Ruby);
    let pid = scene.app_pid();
    let load = Load::on(scene.nginx.port(), "/", 4);
    for _ in 0..3 {
        load.let_pass(200);
        scene.nginx.reload();
    }
    load.let_pass(200);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!(scene.app_pid(), pid);
}

#[test]
fn four_apps_of_four_languages_share_one_daemon() {
    const FOUR: &str = r#"
        %%GLOBALS%%
        events { }
        http {
            %%HTTP%%
            passenger_fly_with %%SOCKET%%;
            passenger_enabled on;
            server { listen 127.0.0.1:%%PORT%%; server_name ruby; root %%STAGE%%/ruby/public; }
            server { listen 127.0.0.1:%%PORT%%; server_name python; root %%STAGE%%/python/public; }
            server { listen 127.0.0.1:%%PORT%%; server_name node; root %%STAGE%%/node/public; }
            server {
                listen 127.0.0.1:%%PORT%%;
                server_name generic;
                root %%STAGE%%/generic/public;
                passenger_app_start_command "node server.js";
            }
        }
    "#;
    let stage = stage::Stage::new();
    let all = [Language::Ruby, Language::Python, Language::Node, Language::Generic];
    for language in all {
        stage.app(language.name()).standard(language);
    }
    let daemon = stage.daemon().start();
    let mut nginx = stage.nginx(FOUR).start();
    let pids = |nginx: &stage::Nginx| {
        all.map(|language| {
            let request = stage::Request::get("/pid").header("Host", language.name());
            nginx.send(request).expect(200).text()
        })
    };
    let before = pids(&nginx);
    assert_eq!(daemon.app_pids().len(), 4, "{}", daemon.status());
    nginx.kill_9_everything();
    nginx.start_again();
    assert_eq!(pids(&nginx), before);
}
