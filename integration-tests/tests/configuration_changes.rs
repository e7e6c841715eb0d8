//! Changes of nginx.conf while apps run: only changes that affect processes replace them.

use std::time::Duration;
use test_support::{Language, Load, ONE_APP_CONF, OneApp, TestDir, eventually, for_each_language, stays};

fn reconfigure(setup: &OneApp, language: Language, lines: &str) {
    let lines = format!("{} {lines}", language.directives());
    setup.nginx.configure(&ONE_APP_CONF.replace("%%APP%%", &lines));
    setup.nginx.reload();
}

for_each_language! {
    fn a_changed_environment_reaches_the_app_and_no_request_is_lost(language) {
        let setup = OneApp::with(language, "passenger_env_var FRUIT apple;", |daemon| daemon);
        let fruit = || setup.nginx.get("/environ?name=FRUIT").expect(200).text();
        assert_eq!(fruit(), "apple");
        let load = Load::on(setup.nginx.port(), "/", 4);
        load.let_pass(20);
        for after in ["pear", "plum", "apple"] {
            reconfigure(&setup, language, &format!("passenger_env_var FRUIT {after};"));
            eventually("the change has arrived", || fruit() == after);
        }
        let report = load.finish();
        assert!(report.failures.is_empty(), "{:#?} of {}", report.failures, report.answered);
    }
}

#[test]
fn changes_of_request_settings_keep_the_process() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon);
    let pid = setup.app_pid();
    for lines in [
        "",
        "passenger_max_request_queue_size 7; passenger_read_timeout 7s;",
        "passenger_sticky_sessions on;",
    ] {
        reconfigure(&setup, Language::Ruby, lines);
        assert_eq!(setup.app_pid(), pid, "{lines}");
    }
}

#[test]
fn changes_of_pool_settings_apply_at_once() {
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon);
    let pid = setup.app_pid();
    reconfigure(&setup, Language::Ruby, "passenger_min_instances 3;");
    assert_eq!(setup.app_pid(), pid);
    eventually("there are three", || setup.daemon.app_pids().len() == 3);
    reconfigure(&setup, Language::Ruby, "passenger_max_instances 1;");
    setup.app_pid();
    eventually("there is one", || setup.daemon.app_pids().len() == 1);
    reconfigure(&setup, Language::Ruby, "passenger_min_instances 3;");
    setup.app_pid();
    eventually("there are three again, as in an earlier configuration", || {
        setup.daemon.app_pids().len() == 3
    });
}

#[test]
fn different_locations_of_one_app_cause_no_restarts() {
    const TWO: &str = r#"
        %%GLOBALS%%
        events { }
        http {
            %%HTTP%%
            passenger_fly_with %%SOCKET%%;
            server {
                listen 127.0.0.1:%%PORT%%;
                root %%DIR%%/app/public;
                passenger_enabled on;
                passenger_app_group_name shop;
                location / { }
                location /environ { passenger_env_var FRUIT pear; }
            }
        }
    "#;
    let test_dir = TestDir::new();
    let _app = test_dir.app("app").standard(Language::Ruby);
    let daemon = test_dir.daemon().start();
    let nginx = test_dir.nginx(TWO).start();
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
