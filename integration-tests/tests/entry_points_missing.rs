//! No entry point: nginx serves the files that there are, and says what was looked for.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use test_support::{App, ONE_APP_CONF, OneApp, Request, TestDir, eventually};

const ASSETS: &str = r#"{"scripts": {"start": "vite"}}"#;

fn nothing(app: App) -> App {
    app.file("app.py", "def create_app():\n    pass\n")
        .file("package.json", ASSETS)
        .file("public/file.txt", "a file")
        .file("public/listed/file.txt", "another")
        .file("public/indexed/index.html", "an index")
        .file("public/indexed.html", "a page")
}

#[test]
fn a_directory_without_an_application_is_a_404_with_the_reason_in_the_log() {
    let setup = OneApp::app("location /listed/ { autoindex on; }", nothing);
    for uri in ["/", "/none", "/none/", "/listed/none/"] {
        let page = setup.nginx.get(uri).expect(404).text();
        assert!(!page.contains("app.py"), "{page}");
    }
    setup.nginx.send(Request::post("/", "x")).expect(404);
    assert_eq!(setup.daemon.app_pids().len(), 0);
    let log = setup.nginx.error_log();
    let root = setup.app.dir().display();
    for text in [
        &format!("no application is found in {root}; looked for Passengerfile.json, config.ru, app.js"),
        "not used: app.py defines neither \"application\" nor \"app\"; \"scripts.start\" of package.json runs vite",
        &format!("\"passenger-config doctor {root}\" examines the directory"),
    ] {
        assert!(log.contains(text), "{text} is not in {log}");
    }
    setup.test_dir.expect_log_line("no application is found");
}

#[test]
fn nginx_serves_the_files_without_an_application() {
    let lines = "gzip_static always; location /listed/ { autoindex on; }";
    let setup = OneApp::app(lines, |app| nothing(app).file("public/packed.txt.gz", "compressed"));
    for (uri, text) in [
        ("/file.txt", "a file"),
        ("/indexed/", "an index"),
        ("/indexed", "a page"),
        ("/listed/", "file.txt</a>"),
    ] {
        let page = setup.nginx.get(uri).expect(200).text();
        assert!(page.contains(text), "{uri}: {page}");
    }
    // Other handlers of nginx are asked.
    setup.nginx.send(Request::new("PUT", "/none")).expect(405);
    let compressed = Request::get("/packed.txt").header("Accept-Encoding", "gzip");
    assert_eq!(setup.nginx.send(compressed).expect(200).header("Content-Encoding"), Some("gzip"));
    // The directory exists, so nginx adds the slash.
    setup.nginx.get("/listed").expect(301);
    assert!(!setup.nginx.error_log().contains("no application is found"), "{}", setup.nginx.error_log());
}

#[test]
fn developers_see_what_was_looked_for() {
    let setup = OneApp::app("passenger_app_env development;", nothing);
    for uri in ["/", "/none"] {
        let response = setup.nginx.get(uri).expect(404);
        assert_eq!(response.header("Content-Type"), Some("text/html; charset=utf-8"));
        let page = response.text();
        for text in ["No application is found", "config.ru\n", "app.py defines neither"] {
            assert!(page.contains(text), "{page}");
        }
    }
    assert_eq!(setup.nginx.send(Request::new("HEAD", "/")).expect(404).text(), "");
    setup.test_dir.expect_log_line("no application is found");
}

#[test]
fn an_error_page_of_nginx_is_shown() {
    let lines = "error_page 404 /404.html; location = /404.html { internal; }";
    let setup = OneApp::app(lines, |app| nothing(app).file("public/404.html", "the page of the site"));
    assert_eq!(setup.nginx.get("/").expect(404).text(), "the page of the site");
    assert_eq!(setup.nginx.get("/none").expect(404).text(), "the page of the site");
    setup.test_dir.expect_log_line("no application is found");
}

#[test]
fn an_application_that_is_deployed_later_is_found() {
    let setup = OneApp::app("", |app| app);
    setup.nginx.get("/").expect(404);
    let app = "def app(env, start):\n    start('200 OK', [])\n    return [b'deployed']\n";
    setup.app.write("app.py", app);
    eventually("the application", || setup.nginx.get("/").status() == 200);
    setup.test_dir.expect_log_line("no application is found");
}

#[test]
fn files_of_the_owner_do_not_hang_nginx() {
    let test_dir = TestDir::new();
    let app = test_dir.app("app").file("public/file.txt", "a file");
    let _daemon = test_dir.daemon().start();
    test_dir.expect_log_line("no application is found");
    for name in ["app.py", "manage.py", "Procfile", "package.json", "index.js"] {
        let path = app.path(name);
        for target in [None, Some("/dev/ptmx"), Some("/dev/zero")] {
            match target {
                None => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
                Some(target) => symlink(target, &path).unwrap(),
            }
            let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
            nginx.get("/").expect(404);
            assert_eq!(nginx.get("/file.txt").expect(200).text(), "a file");
            fs::remove_file(&path).unwrap();
        }
        fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", "")).start();
        nginx.get("/").expect(404);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn nginx_warns_of_source_in_a_public_directory() {
    let test_dir = TestDir::new();
    test_dir.app("app").file("app.py", "app = 1").file("public/app.js", "// a script of a page");
    let warning = |conf: &str| {
        let nginx = test_dir.nginx(&conf.replace("%%APP%%", "location /x { }"));
        let output = nginx.test_config();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let exposed = warning(&ONE_APP_CONF.replace("/app/public", "/app"));
    let text =
        "/app contains the source of an application (app.py), which visitors can download: let \"root\" be";
    assert_eq!(exposed.matches(text).count(), 1, "{exposed}");
    let usual = warning(ONE_APP_CONF);
    assert!(!usual.contains("contains the source"), "{usual}");
}
