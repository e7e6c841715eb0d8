//! Changes of nginx.conf while apps run: only changes that affect processes replace them.

use stage::{Language, Load, ONE_APP, Scene, Stage, eventually, for_each_language, stays};
use std::time::Duration;

fn reconfigure(scene: &Scene, language: Language, lines: &str) {
    let lines = format!("{} {lines}", language.directives());
    scene.nginx.configure(&ONE_APP.replace("%%APP%%", &lines));
    scene.nginx.reload();
}

for_each_language! {
    fn a_changed_environment_reaches_the_app_and_no_request_is_lost(language) {
        let scene = Scene::with(language, "passenger_env_var FRUIT apple;", |daemon| daemon);
        let fruit = || scene.nginx.get("/environ?name=FRUIT").expect(200).text();
        assert_eq!(fruit(), "apple");
        let load = Load::on(scene.nginx.port(), "/", 4);
        load.let_pass(20);
        for after in ["pear", "plum", "apple"] {
            reconfigure(&scene, language, &format!("passenger_env_var FRUIT {after};"));
            eventually("the change has arrived", || fruit() == after);
        }
        let report = load.finish();
        assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    }
}

#[test]
fn a_reload_and_what_concerns_requests_only_leave_the_process_alone() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon);
    let pid = scene.app_pid();
    for lines in [
        "",
        "passenger_max_request_queue_size 7; passenger_read_timeout 7s;",
        "passenger_sticky_sessions on;",
    ] {
        reconfigure(&scene, Language::Ruby, lines);
        assert_eq!(scene.app_pid(), pid, "{lines}");
    }
}

#[test]
fn what_the_pool_follows_counts_at_once() {
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon);
    let pid = scene.app_pid();
    reconfigure(&scene, Language::Ruby, "passenger_min_instances 3;");
    assert_eq!(scene.app_pid(), pid);
    eventually("there are three", || scene.daemon.app_pids().len() == 3);
    reconfigure(&scene, Language::Ruby, "passenger_max_instances 1;");
    scene.app_pid();
    eventually("there is one", || scene.daemon.app_pids().len() == 1);
    reconfigure(&scene, Language::Ruby, "passenger_min_instances 3;");
    scene.app_pid();
    eventually("there are three again, as an earlier configuration said", || {
        scene.daemon.app_pids().len() == 3
    });
}

#[test]
fn locations_that_describe_one_app_differently_do_not_fight() {
    const TWO: &str = r#"
        %%GLOBALS%%
        events { }
        http {
            %%HTTP%%
            passenger_fly_with %%SOCKET%%;
            server {
                listen 127.0.0.1:%%PORT%%;
                root %%STAGE%%/app/public;
                passenger_enabled on;
                passenger_app_group_name shop;
                location / { }
                location /environ { passenger_env_var FRUIT pear; }
            }
        }
    "#;
    let stage = Stage::new();
    let _app = stage.app("app").standard(Language::Ruby);
    let daemon = stage.daemon().start();
    let nginx = stage.nginx(TWO).start();
    let pid = || nginx.get("/pid").expect(200).text();
    let both = || {
        nginx.get("/environ?name=FRUIT").expect(200);
        pid()
    };
    let first = pid();
    for _ in 0..3 {
        stays("the process stays", Duration::from_millis(200), || both() == first);
        nginx.reload();
    }
    assert!(!daemon.log().contains("its configuration has changed"), "{}", daemon.log());
}
