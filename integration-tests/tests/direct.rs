//! Requests of an administrator to one process, without nginx.

use test_support::{Language, OneApp, Request, eventually, for_each_language};

fn ask(setup: &OneApp, pid: u32, more: &[&str]) -> (bool, String) {
    let pid = pid.to_string();
    let arguments: Vec<&str> = ["ask-process", pid.as_str()].iter().chain(more).copied().collect();
    let output = setup.daemon.tool("passenger-config", &arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

for_each_language! {
    fn each_process_can_be_requested_directly(language) {
        let setup = OneApp::with(language, "passenger_min_instances 2;", |daemon| daemon);
        setup.nginx.get("/").expect(200);
        eventually("there are two processes", || setup.daemon.app_pids().len() == 2);
        for pid in setup.daemon.app_pids() {
            eventually("the process is ready", || ask(&setup, pid, &["/pid"]).0);
            for _ in 0..3 {
                let (done, reported) = ask(&setup, pid, &["/pid"]);
                assert!(done && reported.starts_with("200\n"), "{reported}");
                assert_eq!(reported.split("\n\n").nth(1).map(str::trim), Some(pid.to_string().as_str()), "{reported}");
            }
        }
        let pid = setup.app_pid();
        let (_, reported) = ask(&setup, pid, &["/env?a=b", "--header", "X-Asks: administrator"]);
        assert!(reported.contains("administrator") && reported.contains("a=b"), "{reported}");
        let (_, reported) = ask(&setup, pid, &["/", "--method", "HEAD", "--json"]);
        let reported: serde_json::Value = serde_json::from_str(&reported).unwrap();
        assert_eq!((reported["status"].as_u64(), reported["body"].as_str()), (Some(200), Some("")));
        setup.nginx.get("/").expect(200);
    }
}

#[test]
fn a_busy_process_answers_after_its_request() {
    let setup = OneApp::with(Language::Ruby, "passenger_max_instances 1;", |daemon| daemon);
    let pid = setup.app_pid();
    let mut visitor = setup.nginx.connect();
    visitor.send(Request::get("/wait?name=busy").bytes("close"));
    eventually("it is working", || setup.test_dir.scratch("busy.arrived").exists());
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&setup, pid, &["/pid"]));
        eventually("the question waits", || setup.daemon.status().contains("Requests in queue: 1"));
        setup.test_dir.open_gate("busy");
        let (done, reported) = asked.join().unwrap();
        assert!(done && reported.contains(&pid.to_string()), "{reported}");
    });
    visitor.read_response().expect(200);
}

#[test]
fn an_invalid_process_request_is_explained() {
    let setup = OneApp::of(Language::Python);
    let pid = setup.app_pid();
    for (arguments, why) in [
        (&["x"][..], "invalid URI: must begin with /"),
        (&["/a b"], "invalid URI: must begin with /"),
        (&["/", "--method", "G T"], "invalid method"),
        (&["/", "--header", "X-A"], "must be NAME: VALUE"),
        (&["/", "--header", "X A: b"], "invalid name or value of a header"),
        (&["/", "--header", "X-A: b\r\nX-B: c"], "invalid name or value of a header"),
        (&["/", "--header", "Content-Length: 3"], "the request has no body"),
    ] {
        let (done, reported) = ask(&setup, pid, arguments);
        assert!(!done && reported.contains(why), "{arguments:?}: {reported}");
    }
    let (done, reported) = ask(&setup, setup.daemon.pid(), &[]);
    assert!(!done && reported.contains("no process that accepts requests has this PID"), "{reported}");
    assert_eq!(setup.app_pid(), pid);
}
