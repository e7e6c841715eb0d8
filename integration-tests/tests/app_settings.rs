//! Settings of an app in nginx.conf take effect in the app.

use stage::{Language, Scene, Stage, for_each_language};

/// An app under a base URI beside a site of plain files.
const MOUNTED: &str = r#"
    %%GLOBALS%%
    events { }
    http {
        %%HTTP%%
        passenger_fly_with %%SOCKET%%;
        server {
            listen 127.0.0.1:%%PORT%%;
            root %%STAGE%%/site;
            location ~ ^/shop(/.*|$) {
                passenger_enabled on;
                passenger_base_uri /shop;
                passenger_app_root %%STAGE%%/app;
                passenger_document_root %%STAGE%%/app/public;
                alias %%STAGE%%/app/public$1;
                %%APP%%
            }
        }
    }
"#;

for_each_language! {
    fn is_told_its_environment(language) {
        let lines = "passenger_app_env staging; passenger_env_var FRUIT 'a pear'; passenger_env_var EMPTY '';";
        let scene = Scene::with(language, lines, |daemon| daemon);
        let environ = |name: &str| scene.nginx.get(&format!("/environ?name={name}")).expect(200).text();
        for name in ["RAILS_ENV", "RACK_ENV", "WSGI_ENV", "NODE_ENV", "PASSENGER_APP_ENV"] {
            assert_eq!(environ(name), "staging", "{name}");
        }
        assert_eq!(environ("FRUIT"), "a pear");
        assert_eq!(environ("EMPTY"), "");
        assert_eq!(environ("IN_PASSENGER"), "1");
        assert_eq!(environ("PWD"), scene.app.dir().display().to_string());
        assert_eq!(environ("PASSENGER_BASE_URI"), "(unset)");
        for name in ["FLYING_PASSENGER_STARTUP_FILE", "FLYING_PASSENGER_GROUP"] {
            if language != Language::Generic {
                assert_eq!(environ(name), "(unset)", "a loader removes what was meant for it");
            }
        }
    }

    fn may_have_as_many_files_open_as_it_is_allowed(language) {
        let scene = Scene::with(language, "passenger_app_file_descriptor_ulimit 555;", |daemon| daemon);
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", scene.app_pid())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let numbers: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
        assert_eq!(numbers, ["555", "555"]);
        let of_router = std::fs::read_to_string(format!("/proc/{}/limits", scene.daemon.router())).unwrap();
        assert!(!of_router.contains(" 555 "), "the daemon keeps its own");
    }

    fn runs_in_production_unless_told_otherwise(language) {
        let scene = Scene::of(language);
        assert_eq!(scene.nginx.get("/environ?name=RACK_ENV").expect(200).text(), "production");
    }

    fn is_mounted_under_a_base_uri(language) {
        let stage = Stage::new();
        let app = stage.app("app").standard(language);
        app.write("public/a.txt", "a file of the app");
        stage.app("site").file("index.html", "the site");
        let _daemon = stage.daemon().start();
        let nginx = stage.nginx(&MOUNTED.replace("%%APP%%", language.directives())).start();

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
fn an_http_app_can_do_without_its_base_uri() {
    for language in [Language::Node, Language::Generic] {
        let stage = Stage::new();
        stage.app("app").standard(language);
        stage.app("site").file("index.html", "the site");
        let _daemon = stage.daemon().start();
        let lines = format!("{} passenger_strip_base_uri on;", language.directives());
        let nginx = stage.nginx(&MOUNTED.replace("%%APP%%", &lines)).start();
        let env = nginx.get("/shop/env?q=1").expect(200).json();
        assert_eq!(env["url"], "/env?q=1");
        let raw = env["raw"].as_array().unwrap();
        let at = raw.iter().position(|word| word == "x-forwarded-prefix").expect("it is told where it is");
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
        let scene = Scene::set(
            &format!("{directive} %%STAGE%%/app/wrapper.sh;"),
            |daemon| daemon,
            |app| app.standard(language).file("wrapper.sh", format!("{wrapper}{program} \"$@\"\n")),
        );
        assert_eq!(scene.nginx.get("/environ?name=WRAPPED").expect(200).text(), "yes", "{directive}");
    }
}

#[test]
fn inner_variables_win_and_outer_ones_are_inherited() {
    let lines = r#"
        passenger_env_var OUTER outer;
        passenger_env_var BOTH outer;
        location / { passenger_env_var BOTH inner; }
    "#;
    let scene = Scene::with(Language::Ruby, lines, |daemon| daemon);
    assert_eq!(scene.nginx.get("/environ?name=OUTER").expect(200).text(), "outer");
    assert_eq!(scene.nginx.get("/environ?name=BOTH").expect(200).text(), "inner");
}

#[test]
fn two_group_names_are_two_groups_of_processes() {
    let lines = r#"
        location /wait { passenger_app_group_name other; }
    "#;
    let scene = Scene::with(Language::Python, lines, |daemon| daemon);
    scene.stage.open_gate("now");
    let other = scene.nginx.get("/wait?name=now").expect(200).text();
    assert_ne!(scene.app_pid().to_string(), other);
    assert!(scene.daemon.status().contains("\nother"), "{}", scene.daemon.status());
}

#[test]
fn flies_with_an_upstream_block_and_with_a_unix_prefix() {
    const WAYS: &str = r#"
        %%GLOBALS%%
        events { }
        http {
            %%HTTP%%
            upstream daemon { server unix:%%SOCKET%%; keepalive 4; }
            server {
                listen 127.0.0.1:%%PORT%%;
                root %%STAGE%%/app/public;
                passenger_enabled on;
                passenger_fly_with unix:%%SOCKET%%;
                location /pid { passenger_fly_with daemon; }
            }
        }
    "#;
    let stage = Stage::new();
    stage.app("app").standard(Language::Ruby);
    let _daemon = stage.daemon().start();
    let nginx = stage.nginx(WAYS).start();
    assert_eq!(nginx.get("/").expect(200).text(), "hello from ruby\n");
    for _ in 0..3 {
        nginx.get("/pid").expect(200);
    }
    nginx.reload();
    nginx.get("/pid").expect(200);
}
