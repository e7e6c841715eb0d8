//! Two hundred busy processes and a full queue: every tool lists all of them.

use test_support::{
    Connection, DaemonBuilder, Language, ONE_APP_CONF, Request, TestDir, eventually, is_root,
};

const PROCESSES: usize = 200;
const QUEUE: usize = 50;

#[test]
fn two_hundred_busy_processes_are_listed_by_every_tool() {
    let test_dir = TestDir::new();
    test_dir.app("app").standard(Language::Python);
    let flags = [format!("--max-pool-size={PROCESSES}")];
    let daemon = flags.iter().map(String::as_str).fold(test_dir.daemon(), DaemonBuilder::flag).start();
    let lines = format!(
        "passenger_spawn_method smart; passenger_min_instances {PROCESSES}; passenger_max_request_queue_size {QUEUE};"
    );
    let conf =
        ONE_APP_CONF.replace("worker_connections 512", "worker_connections 2048").replace("%%APP%%", &lines);
    let nginx = test_dir.nginx(&conf).start();
    nginx.get("/pid").expect(200);
    eventually("all processes are there", || daemon.app_pids().len() == PROCESSES);
    let clients = |count: usize| -> Vec<Connection> {
        let client = |_| {
            let mut client = nginx.connect();
            client.send(Request::get("/wait?name=gate").bytes("close"));
            client
        };
        (0..count).map(client).collect()
    };
    let mut busy = clients(PROCESSES);
    eventually("all are busy", || daemon.status().matches("Sessions: 1 ").count() == PROCESSES);
    let mut waiting = clients(QUEUE);
    eventually("the queue is full", || daemon.status().contains(&format!("Requests in queue: {QUEUE}")));
    nginx.get("/pid").expect(503);

    let tool = |name: &str, words: &[&str]| {
        let output = daemon.tool(name, words);
        assert!(output.status.success(), "{name} {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let pids = daemon.app_pids();
    let json: serde_json::Value = serde_json::from_str(&tool("passenger-status", &["--show=json"])).unwrap();
    let processes = json["groups"][0]["processes"].as_array().unwrap();
    let listed: Vec<u32> =
        processes.iter().map(|process| u32::try_from(process["pid"].as_u64().unwrap()).unwrap()).collect();
    assert_eq!(listed, pids);
    assert!(processes.iter().all(|process| process["memory"].as_u64() > Some(0) && process["sessions"] == 1));
    let xml = tool("passenger-status", &["--show=xml"]);
    assert_eq!(xml.matches("<process>").count(), PROCESSES);
    assert!(pids.iter().all(|pid| xml.contains(&format!("<pid>{pid}</pid>"))));
    let requests = tool("passenger-status", &["--show=requests"]);
    assert!(pids.iter().all(|pid| requests.contains(&format!("* PID: {pid} "))));
    assert_eq!(requests.matches("Phase: queued").count(), QUEUE);
    let metrics = tool("passenger-config", &["api-call", "GET", "/metrics"]);
    for figure in [("processes", PROCESSES), ("sessions", PROCESSES), ("queued_requests", QUEUE)] {
        let line = |line: &&str| line.starts_with(&format!("flying_passenger_{}{{", figure.0));
        let line = metrics.lines().find(line).unwrap_or_else(|| panic!("no {} in\n{metrics}", figure.0));
        assert!(line.ends_with(&format!(" {}", figure.1)), "{line}");
    }
    let memory = tool("passenger-memory-stats", &[]);
    let lines: Vec<&str> = memory.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(pids.iter().all(|pid| lines.contains(&pid.to_string().as_str())), "{memory}");
    if is_root() {
        assert!(!memory.contains(" (?)"), "{memory}");
    }
    assert!(tool("passenger-config", &["list-instances"]).contains(&daemon.pid().to_string()));
    assert!(tool("passenger-config", &["settings"]).contains("max_pool_size"));

    test_dir.open_gate("gate");
    for client in busy.iter_mut().chain(&mut waiting) {
        client.read_response().expect(200);
    }
}
