//! The status page and host names: a web page that rebinds DNS cannot read it.

use test_support::{Language, Nginx, OneApp, Request, TestDir};

/// What a browser sends for a page at this host, which it has been led to 127.0.0.1 for.
fn asks(nginx: &Nginx, host: &str) -> u16 {
    nginx.send(Request::get("/status?data").header("Host", host)).status()
}

/// A server of these names with the page for this machine alone.
fn nginx(test_dir: &TestDir, names: &str) -> Nginx {
    let conf = format!(
        "%%GLOBALS%%\nevents {{ }}\nhttp {{\n%%HTTP%%\npassenger_fly_with %%SOCKET%%;\nserver {{\n\
         listen 127.0.0.1:%%PORT%%;\n{names}\nroot %%DIR%%/app/public;\n\
         location = /status {{ allow 127.0.0.1; deny all; passenger_status; }} }} }}"
    );
    test_dir.nginx(&conf).start()
}

fn test_dir() -> TestDir {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Python);
    test_dir
}

#[test]
fn a_rebound_host_name_is_refused_with_a_logged_remedy() {
    let setup = OneApp::with(
        Language::Python,
        "location = /status { allow 127.0.0.1; deny all; passenger_status; }",
        |daemon| daemon,
    );
    for host in ["localhost", "127.0.0.1", "127.0.0.1:8080", "[::1]", "web1", "shop.test", "a.localhost"] {
        assert_eq!(asks(&setup.nginx, host), 200, "{host}");
    }
    for host in ["evil.example", "EVIL.example:8080", "evil.example.", "localhost.evil.example"] {
        assert_eq!(asks(&setup.nginx, host), 403, "{host}");
    }
    let log = setup.nginx.error_log();
    let refused = "passenger_status is refused: \"evil.example\" is not a server_name of this server";
    assert!(log.contains(refused) && log.contains("add it to \"server_name\""), "{log}");
    for host in ["evil.example", "localhost"] {
        let request = Request::get("/pid").header("Host", host);
        assert_eq!(setup.nginx.send(request).status(), 200, "applications have names of their own: {host}");
    }
}

#[test]
fn the_servers_own_names_are_accepted_in_every_spelling() {
    let test_dir = test_dir();
    let _daemon = test_dir.daemon().start();
    let names =
        "server_name status.example.org *.example.net .example.com www.example.* ~^s[0-9]+[.]example[.]edu$;";
    let nginx = nginx(&test_dir, names);
    for host in [
        "status.example.org",
        "STATUS.example.org:81",
        "a.b.example.net",
        "example.com",
        "x.example.com",
        "www.example.fr",
        "s17.example.edu",
        "localhost",
        "127.0.0.1",
    ] {
        assert_eq!(asks(&nginx, host), 200, "{host}");
    }
    for host in ["example.org", "example.net", "evilexample.com", "sx.example.edu", "evil.example"] {
        assert_eq!(asks(&nginx, host), 403, "{host}");
    }
}

#[test]
fn a_server_without_a_name_accepts_every_remote_name() {
    let test_dir = test_dir();
    let _daemon = test_dir.daemon().start();
    // nginx takes this word for where the client is, as behind a load balancer.
    let from_elsewhere = "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;";
    for (names, expected) in [
        ("", 200),
        ("server_name _;", 200),
        ("server_name localhost;", 200),
        ("server_name example.org;", 403),
    ] {
        let nginx = nginx(&test_dir, &format!("{names} {from_elsewhere}"));
        let ask = |from: &str| {
            let request =
                Request::get("/status?data").header("Host", "web1.example.net").header("X-Real-IP", from);
            nginx.send(request).status()
        };
        assert_eq!(ask("127.0.0.1"), 403, "{names}");
        assert_eq!(ask("192.0.2.1"), 403, "{names}: the location denies it");
        drop(nginx);
        let open = format!("{names} {from_elsewhere} location = /open {{ passenger_status; }}");
        let nginx = self::nginx(&test_dir, &open);
        let request =
            Request::get("/open").header("Host", "web1.example.net").header("X-Real-IP", "192.0.2.1");
        assert_eq!(nginx.send(request).status(), expected, "{names}");
    }
}

#[test]
fn the_documented_default_server_hides_the_page() {
    let test_dir = test_dir();
    let _daemon = test_dir.daemon().start();
    let recipe = include_str!("../../docs/STATUS-PAGE.md");
    let recipe = recipe.split("<!-- recipe -->\n```nginx\n").nth(1).expect("the documentation has it");
    let recipe =
        recipe.split("```").next().unwrap().replace("listen 127.0.0.1:8080", "listen 127.0.0.1:%%PORT%%");
    let conf =
        format!("%%GLOBALS%%\nevents {{ }}\nhttp {{\n%%HTTP%%\npassenger_fly_with %%SOCKET%%;\n{recipe}\n}}");
    let nginx = test_dir.nginx(&conf).start();
    assert_eq!(nginx.send(Request::get("/").header("Host", "localhost")).status(), 200);
    let mut rebound = nginx.connect();
    rebound.send(Request::get("/").header("Host", "evil.example").bytes("close"));
    assert_eq!(rebound.read_to_end(), b"", "the connection is closed");
}
