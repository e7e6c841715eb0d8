//! Sticky sessions: a client's requests go to one process, and the cookie for that is sent only when it changes.

use test_support::{Language, OneApp, Request, Response, eventually, for_each_language, kill_9};

const STICKY: &str = "passenger_sticky_sessions on; passenger_min_instances 2;";

/// Two processes that serve, behind an nginx with sticky sessions.
fn two_processes(language: Language, more: &str) -> OneApp {
    let setup =
        OneApp::with(language, &format!("{STICKY} {more}"), |daemon| daemon.flag("--max-pool-size=2"));
    setup.app_pid();
    eventually("both processes run", || setup.daemon.app_pids().len() == 2);
    setup
}

fn get(setup: &OneApp, path: &str, cookie: &str) -> Response {
    setup.nginx.send(Request::get(path).header("Cookie", cookie)).expect(200)
}

/// `name=value` of the only cookie.
fn cookie(answer: &Response) -> Option<String> {
    answer.header("set-cookie").map(|cookie| cookie.split(';').next().unwrap_or_default().to_owned())
}

for_each_language! {
    fn a_client_stays_with_its_process(language) {
        let setup = two_processes(language, "");
        let first = setup.nginx.get("/pid").expect(200);
        let full = first.header("set-cookie").expect("a new client gets a cookie").to_owned();
        assert!(full.starts_with("_passenger_route="), "{full}");
        assert!(full.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{full}");
        let mine = cookie(&first).unwrap();
        for _ in 0..5 {
            let again = get(&setup, "/pid", &format!("a=b; {mine}"));
            assert_eq!((again.text(), cookie(&again)), (first.text(), None), "the same process, and no other cookie");
        }
    }
}

#[test]
fn a_client_waits_for_its_busy_process_and_others_do_not() {
    let setup = two_processes(Language::Ruby, "");
    let first = setup.nginx.get("/pid").expect(200);
    let mine = cookie(&first).unwrap();
    let mut busy = setup.nginx.connect();
    busy.send(Request::get("/wait?name=busy").header("Cookie", &mine).bytes("keep-alive"));
    eventually("its process is busy", || setup.test_dir.scratch("busy.arrived").exists());
    let mut waiting = setup.nginx.connect();
    waiting.send(Request::get("/pid").header("Cookie", &mine).bytes("keep-alive"));
    eventually("its next request waits", || setup.daemon.status().contains("Requests in queue: 1"));
    let stranger = setup.nginx.get("/pid").expect(200);
    assert_ne!(stranger.text(), first.text(), "a new client goes to the idle process");
    setup.test_dir.open_gate("busy");
    busy.read_response().expect(200);
    assert_eq!(waiting.read_response().expect(200).text(), first.text());
}

#[test]
fn a_client_whose_process_is_gone_gets_another_and_a_new_cookie() {
    let setup = two_processes(Language::Python, "");
    let first = setup.nginx.get("/pid").expect(200);
    let mine = cookie(&first).unwrap();
    let gone: u32 = first.text().parse().unwrap();
    kill_9(gone);
    eventually("it is replaced", || {
        let now = setup.daemon.app_pids();
        now.len() == 2 && !now.contains(&gone)
    });
    let next = get(&setup, "/pid", &mine);
    let changed = cookie(&next).expect("the cookie changes");
    assert_ne!(changed, mine);
    assert_eq!(get(&setup, "/pid", &changed).text(), next.text());
    assert!(cookie(&get(&setup, "/pid", "_passenger_route=nonsense")).is_some());
}

#[test]
fn a_new_router_keeps_sticky_sessions() {
    let setup = two_processes(Language::Node, "");
    let first = setup.nginx.get("/pid").expect(200);
    let mine = cookie(&first).unwrap();
    setup.daemon.kill_router();
    let again = get(&setup, "/pid", &mine);
    assert_eq!((again.text(), cookie(&again)), (first.text(), None));
}

#[test]
fn the_location_sets_cookie_name_and_attributes() {
    let lines = r#"location /named { passenger_sticky_sessions_cookie_name my_route;
                   passenger_sticky_sessions_cookie_attributes "Max-Age=60; SameSite=Strict"; }"#;
    let setup = two_processes(Language::Ruby, lines);
    let answer = setup.nginx.send(Request::get("/named"));
    let full = answer.header("set-cookie").unwrap().to_owned();
    assert!(full.starts_with("my_route="), "{full}");
    assert!(full.ends_with("; Path=/; HttpOnly; Max-Age=60; SameSite=Strict"), "{full}");
}

#[test]
fn a_cookie_of_the_app_is_kept() {
    let setup = OneApp::app(STICKY, |app| {
        app.ruby("run ->(env) { [200, { 'Set-Cookie' => \"a=1\\nb=2\" }, ['x']] }")
    });
    let answer = setup.nginx.get("/").expect(200);
    let all = answer.head.all("set-cookie");
    assert_eq!((all.len(), all[0], all[1]), (3, "a=1", "b=2"), "{all:?}");
    assert!(all[2].starts_with("_passenger_route="), "{all:?}");
}
