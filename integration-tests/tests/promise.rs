//! The main promise: app processes survive whatever happens to nginx and the router.

use test_support::{Language, Load, OneApp, for_each_language, is_alive};

for_each_language! {
    fn says_hello_through_nginx(language) {
        let setup = OneApp::of(language);
        let hello = format!("hello from {}\n", language.name());
        let response = setup.nginx.get("/").expect(200);
        assert_eq!(response.text(), hello);
        assert_eq!(response.header("Content-Length"), Some(hello.len().to_string().as_str()));
        assert_eq!(response.header("Content-Type"), Some("text/plain"));
    }

    fn keeps_its_process_through_every_nginx_action(language) {
        let mut setup = OneApp::of(language);
        let pid = setup.app_pid();

        setup.nginx.reload();
        assert_eq!(setup.app_pid(), pid, "after a reload");

        setup.nginx.stop();
        assert!(is_alive(pid), "while nginx is stopped");
        setup.nginx.start_again();
        assert_eq!(setup.app_pid(), pid, "after stop and start");

        setup.nginx.usr2_upgrade();
        assert_eq!(setup.app_pid(), pid, "after a binary upgrade");

        setup.nginx.kill_9_everything();
        assert!(is_alive(pid), "while nginx is dead");
        setup.nginx.start_again();
        assert_eq!(setup.app_pid(), pid, "after kill -9");
    }

    fn keeps_its_process_when_the_router_is_killed(language) {
        let setup = OneApp::of(language);
        let pid = setup.app_pid();
        for _ in 0..3 {
            setup.daemon.kill_router();
            assert_eq!(setup.app_pid(), pid);
        }
    }
}

#[test]
fn a_request_right_after_the_routers_death_is_answered() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    // Not waiting for the next router: the connection stays in the backlog of the socket.
    test_support::kill_9(setup.daemon.router());
    assert_eq!(setup.app_pid(), pid);
}

#[test]
fn loses_no_request_when_nginx_reloads_under_load() {
    let setup = OneApp::of(Language::Ruby);
    let pid = setup.app_pid();
    let load = Load::on(setup.nginx.port(), "/", 4);
    for _ in 0..3 {
        load.let_pass(200);
        setup.nginx.reload();
    }
    load.let_pass(200);
    let report = load.finish();
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!(setup.app_pid(), pid);
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
            server { listen 127.0.0.1:%%PORT%%; server_name ruby; root %%DIR%%/ruby/public; }
            server { listen 127.0.0.1:%%PORT%%; server_name python; root %%DIR%%/python/public; }
            server { listen 127.0.0.1:%%PORT%%; server_name node; root %%DIR%%/node/public; }
            server {
                listen 127.0.0.1:%%PORT%%;
                server_name generic;
                root %%DIR%%/generic/public;
                passenger_app_start_command "node server.js";
            }
        }
    "#;
    let test_dir = test_support::TestDir::new();
    let all = [Language::Ruby, Language::Python, Language::Node, Language::Generic];
    for language in all {
        test_dir.app(language.name()).standard(language);
    }
    let daemon = test_dir.daemon().start();
    let mut nginx = test_dir.nginx(FOUR).start();
    let pids = |nginx: &test_support::Nginx| {
        all.map(|language| {
            let request = test_support::Request::get("/pid").header("Host", language.name());
            nginx.send(request).expect(200).text()
        })
    };
    let before = pids(&nginx);
    assert_eq!(daemon.app_pids().len(), 4, "{}", daemon.status());
    nginx.kill_9_everything();
    nginx.start_again();
    assert_eq!(pids(&nginx), before);
}
