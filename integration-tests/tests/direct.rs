//! Requests of an administrator to one process, without nginx.

use stage::{Language, Request, Scene, eventually, for_each_language};

fn ask(scene: &Scene, pid: u32, more: &[&str]) -> (bool, String) {
    let pid = pid.to_string();
    let arguments: Vec<&str> = ["ask-process", pid.as_str()].iter().chain(more).copied().collect();
    let output = scene.daemon.tool("passenger-config", &arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

for_each_language! {
    fn each_process_can_be_asked_by_itself(language) {
        let scene = Scene::with(language, "passenger_min_instances 2;", |daemon| daemon);
        scene.nginx.get("/").expect(200);
        eventually("there are two processes", || scene.daemon.app_pids().len() == 2);
        for pid in scene.daemon.app_pids() {
            eventually("the process is ready", || ask(&scene, pid, &["/pid"]).0);
            for _ in 0..3 {
                let (done, told) = ask(&scene, pid, &["/pid"]);
                assert!(done && told.starts_with("200\n"), "{told}");
                assert_eq!(told.split("\n\n").nth(1).map(str::trim), Some(pid.to_string().as_str()), "{told}");
            }
        }
        let pid = scene.app_pid();
        let (_, told) = ask(&scene, pid, &["/env?a=b", "--header", "X-Asks: administrator"]);
        assert!(told.contains("administrator") && told.contains("a=b"), "{told}");
        let (_, told) = ask(&scene, pid, &["/", "--method", "HEAD", "--json"]);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!((told["status"].as_u64(), told["body"].as_str()), (Some(200), Some("")));
        scene.nginx.get("/").expect(200);
    }
}

#[test]
fn a_busy_process_answers_after_its_request() {
    let scene = Scene::with(Language::Ruby, "passenger_max_instances 1;", |daemon| daemon);
    let pid = scene.app_pid();
    let mut visitor = scene.nginx.connect();
    visitor.send(Request::get("/wait?name=busy").bytes("close"));
    eventually("it is at work", || scene.stage.scratch("busy.arrived").exists());
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&scene, pid, &["/pid"]));
        eventually("the question waits", || scene.daemon.status().contains("Requests in queue: 1"));
        scene.stage.open_gate("busy");
        let (done, told) = asked.join().unwrap();
        assert!(done && told.contains(&pid.to_string()), "{told}");
    });
    visitor.read_response().expect(200);
}

#[test]
fn what_cannot_be_asked_is_named() {
    let scene = Scene::of(Language::Python);
    let pid = scene.app_pid();
    for (arguments, why) in [
        (&["x"][..], "invalid URI: must begin with /"),
        (&["/a b"], "invalid URI: must begin with /"),
        (&["/", "--method", "G T"], "invalid method"),
        (&["/", "--header", "X-A"], "must be NAME: VALUE"),
        (&["/", "--header", "X A: b"], "invalid name or value of a header"),
        (&["/", "--header", "X-A: b\r\nX-B: c"], "invalid name or value of a header"),
        (&["/", "--header", "Content-Length: 3"], "the request has no body"),
    ] {
        let (done, told) = ask(&scene, pid, arguments);
        assert!(!done && told.contains(why), "{arguments:?}: {told}");
    }
    let (done, told) = ask(&scene, scene.daemon.pid(), &[]);
    assert!(!done && told.contains("no process that accepts requests has this PID"), "{told}");
    assert_eq!(scene.app_pid(), pid);
}
