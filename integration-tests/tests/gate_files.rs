//! Public files through the gate: validators, ranges, and what is not served.

use std::fs;
use std::os::unix::fs::symlink;

use test_support::{Language, Request, Response};

use crate::gate::OneGate;

fn setup() -> OneGate {
    let fill = |app: test_support::App| {
        app.standard(Language::Ruby)
            .file("public/a.txt", "0123456789")
            .file("public/index.html", "the start page")
            .file("public/about.html", "about")
            .file("public/sub/index.html", "sub")
            .file("public/with space.css", "css")
            .file("public/.env", "SECRET")
            .file("public/.git/config", "SECRET")
            .file("public/.well-known/acme-challenge/t", "token")
            .file("secret.txt", "SECRET")
    };
    OneGate::custom(fill, "", "")
}

#[test]
fn files_have_validators_and_a_type() {
    let setup = setup();
    let file = setup.gate.get("/a.txt").expect(200);
    assert_eq!((file.text().as_str(), file.header("Content-Type")), ("0123456789", Some("text/plain")));
    assert_eq!(file.header("Accept-Ranges"), Some("bytes"));
    let etag = file.header("ETag").unwrap().to_owned();
    let modified = file.header("Last-Modified").unwrap().to_owned();
    let with = |name: &str, value: &str| setup.gate.send(Request::get("/a.txt").header(name, value));
    for value in [etag.as_str(), "*", &format!("\"x\", W/{etag}")] {
        let response = with("If-None-Match", value).expect(304);
        assert_eq!((response.header("ETag"), response.body.len()), (Some(etag.as_str()), 0));
    }
    with("If-None-Match", "\"x\"").expect(200);
    with("If-Modified-Since", &modified).expect(304);
    with("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT").expect(200);
    with("If-Modified-Since", "yesterday").expect(200);
    with("If-Match", &etag).expect(200);
    with("If-Match", "\"x\"").expect(412);
    with("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT").expect(412);
    let head = setup.gate.send(Request::new("HEAD", "/a.txt"));
    assert_eq!((head.status(), head.header("Content-Length")), (200, Some("10")));
    setup.gate.send(Request::post("/a.txt", "x")).expect(405);
}

#[test]
fn ranges_are_parts_of_a_file() {
    let setup = setup();
    let etag = setup.gate.get("/a.txt").header("ETag").unwrap().to_owned();
    let ranged = |range: &str| setup.gate.send(Request::get("/a.txt").header("Range", range));
    let part = |response: Response| (response.text(), response.header("Content-Range").unwrap().to_owned());
    assert_eq!(part(ranged("bytes=2-4").expect(206)), ("234".into(), "bytes 2-4/10".into()));
    assert_eq!(part(ranged("bytes=-3").expect(206)), ("789".into(), "bytes 7-9/10".into()));
    assert_eq!(part(ranged("bytes=8-").expect(206)), ("89".into(), "bytes 8-9/10".into()));
    assert_eq!(ranged("bytes=10-").expect(416).header("Content-Range"), Some("bytes */10"));
    assert_eq!(ranged("bytes=4-2").expect(200).text(), "0123456789");
    assert_eq!(ranged("bytes=0-1,3-4").expect(200).text(), "0123456789");
    let if_range = |value: &str| {
        setup
            .gate
            .send(Request::get("/a.txt").header("Range", "bytes=0-0").header("If-Range", value))
            .status()
    };
    assert_eq!(if_range(&etag), 206);
    assert_eq!(if_range("\"other\""), 200);
    assert_eq!(if_range(&format!("W/{etag}")), 200);
}

#[test]
fn pages_that_the_app_has_cached_are_served() {
    let setup = setup();
    for (path, text) in [
        ("/", "the start page"),
        ("/about", "about"),
        ("/about.html", "about"),
        ("/sub/", "sub"),
        ("/sub/../a.txt", "0123456789"),
        ("/with%20space.css?v=1", "css"),
        ("//a.txt", "0123456789"),
        ("/.well-known/acme-challenge/t", "token"),
    ] {
        assert_eq!(setup.gate.get(path).expect(200).text(), text, "{path}");
    }
    // For other methods the app answers.
    setup.gate.send(Request::post("/echo", "x")).expect(200);
    setup.gate.get("/sub").expect(404);
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let setup = setup();
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/a/../../secret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "/%00",
        "/a.txt%00.html",
    ] {
        setup.gate.get(path).expect(400);
    }
    for path in
        ["/.env", "/.git/config", "/sub/..\\..\\secret.txt", "/%252e%252e/secret.txt", "/....//secret.txt"]
    {
        let response = setup.gate.get(path);
        assert!(!response.text().contains("SECRET"), "{path}: {}", response.text());
    }
}

#[test]
fn only_regular_files_are_opened() {
    let setup = setup();
    let public = setup.app.path("public");
    nix::unistd::mkfifo(&public.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", public.join("zero")).unwrap();
    symlink("loop", public.join("loop")).unwrap();
    symlink("/nonexistent", public.join("nowhere")).unwrap();
    for path in ["/fifo", "/zero", "/loop", "/nowhere", "/sub"] {
        setup.gate.get(path).expect(404);
    }
    // Links are followed, as nginx does: deployments link uploads from a shared directory.
    fs::create_dir(setup.app.path("shared")).unwrap();
    fs::write(setup.app.path("shared/u.txt"), "uploaded").unwrap();
    symlink(setup.app.path("shared"), public.join("uploads")).unwrap();
    assert_eq!(setup.gate.get("/uploads/u.txt").expect(200).text(), "uploaded");
}

#[test]
fn an_app_below_a_path_has_its_own_files() {
    let fill = |app: test_support::App| {
        app.standard(Language::Ruby).file("public/a.txt", "below").file("public/index.html", "start")
    };
    let setup = OneGate::custom(fill, "path = \"/blog\"", "");
    assert_eq!(setup.gate.get("/blog/a.txt").expect(200).text(), "below");
    assert_eq!(setup.gate.get("/blog").expect(200).text(), "start");
    setup.gate.get("/a.txt").expect(404);
    setup.gate.get("/blog/pid").expect(200);
}
