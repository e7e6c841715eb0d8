//! Settings of an app in nginx.conf take effect in the app.

use test_support::{Language, OneApp, TestDir, for_each_language};

/// An app under a base URI beside a site of plain files.
const MOUNTED: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%DIR%%/site;
            location ~ ^/shop(/.*|$) {
                passenger_enabled on;
                passenger_base_uri /shop;
                passenger_app_root %%DIR%%/app;
                passenger_document_root %%DIR%%/app/public;
                alias %%DIR%%/app/public$1;
                %%APP%%
            }
        }
    }
"#;

for_each_language! {
    fn gets_its_environment_name(language) {
        let lines = "passenger_app_env staging; passenger_env_var FRUIT 'a pear'; passenger_env_var EMPTY '';";
        let setup = OneApp::with(language, lines, |daemon| daemon);
        let environ = |name: &str| setup.nginx.get(&format!("/environ?name={name}")).expect(200).text();
        for name in ["RAILS_ENV", "RACK_ENV", "WSGI_ENV", "NODE_ENV", "PASSENGER_APP_ENV"] {
            assert_eq!(environ(name), "staging", "{name}");
        }
        assert_eq!(environ("FRUIT"), "a pear");
        assert_eq!(environ("EMPTY"), "");
        assert_eq!(environ("IN_PASSENGER"), "1");
        assert_eq!(environ("PWD"), setup.app.dir().display().to_string());
        assert_eq!(environ("PASSENGER_BASE_URI"), "(unset)");
        for name in ["FLYING_PASSENGER_STARTUP_FILE", "FLYING_PASSENGER_GROUP"] {
            if language != Language::Generic {
                assert_eq!(environ(name), "(unset)", "a loader removes what was meant for it");
            }
        }
    }

    fn gets_the_configured_limit_of_open_files(language) {
        let setup = OneApp::with(language, "passenger_app_file_descriptor_ulimit 555;", |daemon| daemon);
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", setup.app_pid())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let numbers: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
        assert_eq!(numbers, ["555", "555"]);
        let of_router = std::fs::read_to_string(format!("/proc/{}/limits", setup.daemon.router())).unwrap();
        assert!(!of_router.contains(" 555 "), "the daemon keeps its own");
    }

    fn runs_in_production_by_default(language) {
        let setup = OneApp::of(language);
        assert_eq!(setup.nginx.get("/environ?name=RACK_ENV").expect(200).text(), "production");
    }

    fn is_mounted_under_a_base_uri(language) {
        let test_dir = TestDir::new();
        let app = test_dir.app("app").standard(language);
        app.write("public/a.txt", "a file of the app");
        test_dir.app("site").file("index.html", "the site");
        let _daemon = test_dir.daemon().start();
        let nginx = test_dir.nginx(&MOUNTED.replace("%%APP%%", language.directives())).start();

        assert_eq!(nginx.get("/index.html").expect(200).text(), "the site");
        assert_eq!(nginx.get("/shop/a.txt").expect(200).text(), "a file of the app");
        match language {
            Language::Ruby | Language::Python => {
                let env = nginx.get("/shop/env?q=1").expect(200).json();
                assert_eq!(env["SCRIPT_NAME"], "/shop");
                assert_eq!(env["PATH_INFO"], "/env");
                assert_eq!(env["REQUEST_URI"], "/shop/env?q=1");
                assert_eq!(nginx.get("/shop").expect(200).text(), format!("hello from {}\n", language.name()));
                assert_eq!(nginx.get("/shop/environ?name=RAILS_RELATIVE_URL_ROOT").expect(200).text(), "/shop");
            }
            // Over HTTP the base URI stays in the path: the app mounts itself there.
            Language::Node | Language::Generic => {
                assert_eq!(nginx.get("/shop/env").text(), "no route /shop/env");
            }
        }
    }
}

#[test]
fn the_base_uri_can_be_removed_for_an_http_app() {
    for language in [Language::Node, Language::Generic] {
        let test_dir = TestDir::new();
        test_dir.app("app").standard(language);
        test_dir.app("site").file("index.html", "the site");
        let _daemon = test_dir.daemon().start();
        let lines = format!("{} passenger_strip_base_uri on;", language.directives());
        let nginx = test_dir.nginx(&MOUNTED.replace("%%APP%%", &lines)).start();
        let env = nginx.get("/shop/env?q=1").expect(200).json();
        assert_eq!(env["url"], "/env?q=1");
        let raw = env["raw"].as_array().unwrap();
        let at =
            raw.iter().position(|word| word == "x-forwarded-prefix").expect("the app receives its prefix");
        assert_eq!(raw[at + 1], "/shop");
        assert_eq!(nginx.get("/shop").expect(200).text(), format!("hello from {}\n", language.name()));
    }
}

#[test]
fn the_configured_interpreters_are_used() {
    let wrapper = "#!/bin/sh\nexport WRAPPED=yes\nexec ";
    for (language, directive, program) in [
        (Language::Ruby, "passenger_ruby", "ruby"),
        (Language::Python, "passenger_python", "/usr/bin/python3"),
        (Language::Node, "passenger_nodejs", "node"),
    ] {
        let setup = OneApp::custom(
            &format!("{directive} %%DIR%%/app/wrapper.sh;"),
            |daemon| daemon,
            |app| app.standard(language).file("wrapper.sh", format!("{wrapper}{program} \"$@\"\n")),
        );
        assert_eq!(setup.nginx.get("/environ?name=WRAPPED").expect(200).text(), "yes", "{directive}");
    }
}

#[test]
fn inner_variables_win_and_outer_ones_are_inherited() {
    let lines = r#"
        passenger_env_var OUTER outer;
        passenger_env_var BOTH outer;
        location / { passenger_env_var BOTH inner; }
    "#;
    let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon);
    assert_eq!(setup.nginx.get("/environ?name=OUTER").expect(200).text(), "outer");
    assert_eq!(setup.nginx.get("/environ?name=BOTH").expect(200).text(), "inner");
}

#[test]
fn two_group_names_are_two_groups_of_processes() {
    let lines = r#"
        location /wait { passenger_app_group_name other; }
    "#;
    let setup = OneApp::with(Language::Python, lines, |daemon| daemon);
    setup.test_dir.open_gate("now");
    let other = setup.nginx.get("/wait?name=now").expect(200).text();
    assert_ne!(setup.app_pid().to_string(), other);
    assert!(setup.daemon.status().contains("\nother"), "{}", setup.daemon.status());
}

#[test]
fn passenger_fly_with_takes_upstreams_and_unix_paths() {
    const WAYS: &str = r#"
        %%GLOBALS%%
        events { }
        http {
            %%HTTP%%
            upstream daemon { server unix:%%SOCKET%%; keepalive 4; }
            server {
                listen 127.0.0.1:%%PORT%%;
                root %%DIR%%/app/public;
                passenger_enabled on;
                passenger_fly_with unix:%%SOCKET%%;
                location /pid { passenger_fly_with daemon; }
            }
        }
    "#;
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Ruby);
    let _daemon = test_dir.daemon().start();
    let nginx = test_dir.nginx(WAYS).start();
    assert_eq!(nginx.get("/").expect(200).text(), "hello from ruby\n");
    for _ in 0..3 {
        nginx.get("/pid").expect(200);
    }
    nginx.reload();
    nginx.get("/pid").expect(200);
}
