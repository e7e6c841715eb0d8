//! Files and cached pages that nginx serves without the app.

use test_support::{Language, OneApp, Request};

#[test]
fn serves_a_static_file_before_the_app() {
    let setup = OneApp::of(Language::Ruby);
    setup.app.write("public/logo.txt", "a file");
    assert_eq!(setup.nginx.get("/logo.txt").expect(200).text(), "a file");
    assert_eq!(setup.daemon.app_pids().len(), 0, "no app is started for a file");
    assert_eq!(setup.nginx.get("/pid?logo.txt").status(), 200);
}

#[test]
fn refuses_to_post_to_a_static_file() {
    let setup = OneApp::of(Language::Ruby);
    setup.app.write("public/logo.txt", "a file");
    assert_eq!(setup.nginx.send(Request::post("/logo.txt", "x")).status(), 405);
}

#[test]
fn serves_cached_pages_for_get_and_head_only() {
    let setup = OneApp::of(Language::Ruby);
    setup.app.write("public/index.html", "cached root");
    setup.app.write("public/echo.html", "cached echo");
    setup.app.write("public/dir/index.html", "cached dir");
    assert_eq!(setup.nginx.get("/").expect(200).text(), "cached root");
    assert_eq!(setup.nginx.get("/echo").expect(200).text(), "cached echo");
    assert_eq!(setup.nginx.get("/echo?a=b").expect(200).text(), "cached echo", "queries are ignored");
    assert_eq!(setup.nginx.get("/dir/").expect(200).text(), "cached dir");
    let head = setup.nginx.send(Request::new("HEAD", "/echo")).expect(200);
    assert_eq!(head.header("Content-Length"), Some("11"));
    let post = setup.nginx.send(Request::post("/echo", "to the app")).expect(200);
    assert_eq!(post.text(), "to the app");
}

#[test]
fn forwards_a_directory_without_an_index() {
    let setup = OneApp::of(Language::Ruby);
    setup.app.write("public/images/a.txt", "a file");
    let response = setup.nginx.get("/images/");
    assert_eq!((response.status(), response.text().as_str()), (404, "no route /images/"));
}

#[test]
fn a_disabled_location_is_plain_nginx() {
    let lines = "location /plain/ { passenger_enabled off; }";
    let setup = OneApp::with(Language::Ruby, lines, |daemon| daemon);
    assert_eq!(setup.nginx.get("/").expect(200).text(), "hello from ruby\n");
    let plain = setup.nginx.get("/plain/none");
    assert_eq!(plain.status(), 404);
    assert!(plain.text().contains("nginx"), "{}", plain.text());
    setup.test_dir.expect_log_line("/plain/none");
}

#[test]
fn never_serves_the_apps_sources() {
    let setup = OneApp::of(Language::Ruby);
    for path in ["/config.ru", "/../config.ru", "/%2e%2e/config.ru", "/..%2fconfig.ru"] {
        let response = setup.nginx.get(path);
        assert!(!response.text().contains("SCRATCH"), "{path}: {}", response.text());
    }
}
