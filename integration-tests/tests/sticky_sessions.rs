//! Sticky sessions: a client's requests go to one process, and the cookie for that is sent only when it changes.

use stage::{Language, Request, Response, Scene, eventually, for_each_language, kill_9};

const STICKY: &str = "passenger_sticky_sessions on; passenger_min_instances 2;";

/// Two processes that serve, behind an nginx with sticky sessions.
fn two_processes(language: Language, more: &str) -> Scene {
    let scene = Scene::with(language, &format!("{STICKY} {more}"), |daemon| daemon.flag("--max-pool-size=2"));
    scene.app_pid();
    eventually("both processes run", || scene.daemon.app_pids().len() == 2);
    scene
}

fn get(scene: &Scene, path: &str, cookie: &str) -> Response {
    scene.nginx.send(Request::get(path).header("Cookie", cookie)).expect(200)
}

/// `name=value` of the only cookie.
fn cookie(answer: &Response) -> Option<String> {
    answer.header("set-cookie").map(|cookie| cookie.split(';').next().unwrap_or_default().to_owned())
}

for_each_language! {
    fn a_client_stays_with_its_process(language) {
        let scene = two_processes(language, "");
        let first = scene.nginx.get("/pid").expect(200);
        let full = first.header("set-cookie").expect("a new client gets a cookie").to_owned();
        assert!(full.starts_with("_passenger_route="), "{full}");
        assert!(full.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{full}");
        let mine = cookie(&first).unwrap();
        for _ in 0..5 {
            let again = get(&scene, "/pid", &format!("a=b; {mine}"));
            assert_eq!((again.text(), cookie(&again)), (first.text(), None), "the same process, and no other cookie");
        }
    }
}

#[test]
fn a_client_waits_for_its_busy_process_and_others_do_not() {
    let scene = two_processes(Language::Ruby, "");
    let first = scene.nginx.get("/pid").expect(200);
    let mine = cookie(&first).unwrap();
    let mut busy = scene.nginx.connect();
    busy.send(Request::get("/wait?name=busy").header("Cookie", &mine).bytes("keep-alive"));
    eventually("its process is busy", || scene.stage.scratch("busy.arrived").exists());
    let mut waiting = scene.nginx.connect();
    waiting.send(Request::get("/pid").header("Cookie", &mine).bytes("keep-alive"));
    eventually("its next request waits", || scene.daemon.status().contains("Requests in queue: 1"));
    let stranger = scene.nginx.get("/pid").expect(200);
    assert_ne!(stranger.text(), first.text(), "a new client goes to the idle process");
    scene.stage.open_gate("busy");
    busy.read_response().expect(200);
    assert_eq!(waiting.read_response().expect(200).text(), first.text());
}

#[test]
fn a_client_whose_process_is_gone_gets_another_and_a_new_cookie() {
    let scene = two_processes(Language::Python, "");
    let first = scene.nginx.get("/pid").expect(200);
    let mine = cookie(&first).unwrap();
    let gone: u32 = first.text().parse().unwrap();
    kill_9(gone);
    eventually("it is replaced", || {
        let now = scene.daemon.app_pids();
        now.len() == 2 && !now.contains(&gone)
    });
    let next = get(&scene, "/pid", &mine);
    let changed = cookie(&next).expect("the cookie changes");
    assert_ne!(changed, mine);
    assert_eq!(get(&scene, "/pid", &changed).text(), next.text());
    assert!(cookie(&get(&scene, "/pid", "_passenger_route=nonsense")).is_some());
}

#[test]
fn the_next_router_keeps_the_routes() {
    let scene = two_processes(Language::Node, "");
    let first = scene.nginx.get("/pid").expect(200);
    let mine = cookie(&first).unwrap();
    scene.daemon.kill_router();
    let again = get(&scene, "/pid", &mine);
    assert_eq!((again.text(), cookie(&again)), (first.text(), None));
}

#[test]
fn name_and_attributes_are_the_locations() {
    let lines = r#"location /named { passenger_sticky_sessions_cookie_name my_route;
                   passenger_sticky_sessions_cookie_attributes "Max-Age=60; SameSite=Strict"; }"#;
    let scene = two_processes(Language::Ruby, lines);
    let answer = scene.nginx.send(Request::get("/named"));
    let full = answer.header("set-cookie").unwrap().to_owned();
    assert!(full.starts_with("my_route="), "{full}");
    assert!(full.ends_with("; Path=/; HttpOnly; Max-Age=60; SameSite=Strict"), "{full}");
}

#[test]
fn a_cookie_of_the_app_stays_beside_it() {
    let scene =
        Scene::app(STICKY, |app| app.ruby("run ->(env) { [200, { 'Set-Cookie' => \"a=1\\nb=2\" }, ['x']] }"));
    let answer = scene.nginx.get("/").expect(200);
    let all = answer.head.all("set-cookie");
    assert_eq!((all.len(), all[0], all[1]), (3, "a=1", "b=2"), "{all:?}");
    assert!(all[2].starts_with("_passenger_route="), "{all:?}");
}
