//! The status page and host names: a web page that rebinds DNS cannot read it.

use stage::{Language, Nginx, Request, Scene, Stage};

/// What a browser sends for a page at this host, which it has been led to 127.0.0.1 for.
fn asks(nginx: &Nginx, host: &str) -> u16 {
    nginx.send(Request::get("/status?data").header("Host", host)).status()
}

/// A server of these names with the page for this machine alone.
fn nginx(stage: &Stage, names: &str) -> Nginx {
    let conf = format!(
        "%%GLOBALS%%\nevents {{ }}\nhttp {{\n%%HTTP%%\npassenger_fly_with %%SOCKET%%;\nserver {{\n\
         listen 127.0.0.1:%%PORT%%;\n{names}\nroot %%STAGE%%/app/public;\n\
         location = /status {{ allow 127.0.0.1; deny all; passenger_status; }} }} }}"
    );
    stage.nginx(&conf).start()
}

fn stage() -> Stage {
    let stage = Stage::new();
    stage.app("app").standard(Language::Python);
    stage
}

#[test]
fn a_rebound_name_is_refused_and_the_log_says_what_to_do() {
    let scene = Scene::with(
        Language::Python,
        "location = /status { allow 127.0.0.1; deny all; passenger_status; }",
        |daemon| daemon,
    );
    for host in ["localhost", "127.0.0.1", "127.0.0.1:8080", "[::1]", "web1", "shop.test", "a.localhost"] {
        assert_eq!(asks(&scene.nginx, host), 200, "{host}");
    }
    for host in ["evil.example", "EVIL.example:8080", "evil.example.", "localhost.evil.example"] {
        assert_eq!(asks(&scene.nginx, host), 403, "{host}");
    }
    let log = scene.nginx.error_log();
    let refused = "passenger_status is refused: \"evil.example\" is not a server_name of this server";
    assert!(log.contains(refused) && log.contains("add it to \"server_name\""), "{log}");
    for host in ["evil.example", "localhost"] {
        let request = Request::get("/pid").header("Host", host);
        assert_eq!(scene.nginx.send(request).status(), 200, "applications have names of their own: {host}");
    }
}

#[test]
fn the_servers_own_names_are_admitted_however_they_are_written() {
    let stage = stage();
    let _daemon = stage.daemon().start();
    let names =
        "server_name status.example.org *.example.net .example.com www.example.* ~^s[0-9]+[.]example[.]edu$;";
    let nginx = nginx(&stage, names);
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
fn a_server_without_a_name_answers_to_any_from_elsewhere() {
    let stage = stage();
    let _daemon = stage.daemon().start();
    // nginx takes this word for where the client is, as behind a load balancer.
    let from_elsewhere = "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;";
    for (names, expected) in [
        ("", 200),
        ("server_name _;", 200),
        ("server_name localhost;", 200),
        ("server_name example.org;", 403),
    ] {
        let nginx = nginx(&stage, &format!("{names} {from_elsewhere}"));
        let ask = |from: &str| {
            let request =
                Request::get("/status?data").header("Host", "web1.example.net").header("X-Real-IP", from);
            nginx.send(request).status()
        };
        assert_eq!(ask("127.0.0.1"), 403, "{names}");
        assert_eq!(ask("192.0.2.1"), 403, "{names}: the location denies it");
        drop(nginx);
        let open = format!("{names} {from_elsewhere} location = /open {{ passenger_status; }}");
        let nginx = self::nginx(&stage, &open);
        let request =
            Request::get("/open").header("Host", "web1.example.net").header("X-Real-IP", "192.0.2.1");
        assert_eq!(nginx.send(request).status(), expected, "{names}");
    }
}

#[test]
fn the_recipe_with_a_default_server_gives_other_names_nothing() {
    let stage = stage();
    let _daemon = stage.daemon().start();
    let recipe = include_str!("../../docs/STATUS-PAGE.md");
    let recipe = recipe.split("<!-- recipe -->\n```nginx\n").nth(1).expect("the documentation has it");
    let recipe =
        recipe.split("```").next().unwrap().replace("listen 127.0.0.1:8080", "listen 127.0.0.1:%%PORT%%");
    let conf =
        format!("%%GLOBALS%%\nevents {{ }}\nhttp {{\n%%HTTP%%\npassenger_fly_with %%SOCKET%%;\n{recipe}\n}}");
    let nginx = stage.nginx(&conf).start();
    assert_eq!(nginx.send(Request::get("/").header("Host", "localhost")).status(), 200);
    let mut rebound = nginx.connect();
    rebound.send(Request::get("/").header("Host", "evil.example").bytes("close"));
    assert_eq!(rebound.read_to_end(), b"", "the connection is closed");
}
