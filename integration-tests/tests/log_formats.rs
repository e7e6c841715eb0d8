//! Log formats: plain text, JSON, and for the journal.

use serde_json::Value;
use stage::{Language, Scene, Stage, eventually};

fn in_form(form: &str) -> Scene {
    let flag = format!("--log-format={form}");
    Scene::set("", |daemon| daemon.flag(&flag), |app| app.ruby(SPEAKER))
}

/// Prints its query.
const SPEAKER: &str = "$stdout.sync = true
run ->(env) { puts env['QUERY_STRING'].gsub('ESC', \"\\e\").gsub('NL', \"\\n\").gsub('DEL', \"\\x7f\").gsub('LT', '<');
    [200, {}, [Process.pid.to_s]] }";

#[test]
fn for_machines_each_line_is_an_object() {
    let scene = in_form("json");
    let pid: u32 = scene.nginx.get("/?hello-ESC[0m-%22").expect(200).text().parse().unwrap();
    scene.daemon.logs_eventually("hello-");
    scene.daemon.kill_router();
    scene.nginx.get("/?again").expect(200);
    scene.daemon.logs_eventually("again");
    let log = scene.daemon.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    let spoken = lines.iter().find(|line| line["message"] == "hello-\u{1b}[0m-%22").expect("the app's line");
    assert_eq!((&spoken["app_pid"], &spoken["part"]), (&pid.into(), &"router".into()));
    assert_eq!(spoken["app"], format!("{} (production)", scene.app.dir().display()));
    let started = lines.iter().find(|line| line["message"].as_str().unwrap().contains("starts")).unwrap();
    assert_eq!((&started["level"], &started["part"]), (&"notice".into(), &"supervisor".into()));
    assert!(lines.iter().any(|line| line["level"] == "error"), "the router's end is an error");
    let event = |name: &str| &lines.iter().find(|line| line["event"] == name).expect(name)["detail"];
    assert_eq!(*event("listening"), scene.stage.socket().display().to_string());
    assert_eq!(*event("process_ready"), pid.to_string());
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 27 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    }
}

#[test]
fn for_the_journal_a_line_begins_with_its_priority() {
    let scene = in_form("journald");
    let pid = scene.nginx.get("/?hello").expect(200).text();
    scene.daemon.logs_eventually(&format!("<5>App {pid} output: hello\n"));
    let log = scene.daemon.log();
    assert!(log.contains("<5>lifecycle::startup: flying-passenger "), "{log}");
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
}

#[test]
fn an_app_forges_no_line_in_any_form() {
    for form in ["plain", "json", "journald"] {
        let scene = in_form(form);
        scene.nginx.get("/?oneNLLT0>twoDELthree").expect(200);
        eventually("both lines have come", || scene.daemon.log().contains("three"));
        assert!(!scene.daemon.log().contains("\n<0>two"), "{form}");
        assert!(!scene.daemon.log().contains('\u{7f}'), "{form}");
    }
}

#[test]
fn another_form_is_a_mistake() {
    let output = Stage::new().daemon().flag("--log-format=xml").output();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains(
            "invalid value \"xml\" in \"--log-format\": must be one of \"plain\", \"json\", \"journald\""
        ),
        "{told}"
    );
    let scene = Scene::with(Language::Ruby, "", |daemon| daemon.configured("log_format = \"json\"\n"));
    assert!(scene.daemon.log().starts_with("{\"time\":\""), "the file has the key");
}
