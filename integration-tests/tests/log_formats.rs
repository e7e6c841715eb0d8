//! Log formats: plain text, JSON, and for the journal.

use serde_json::Value;
use test_support::{Language, OneApp, TestDir, eventually};

fn in_form(form: &str) -> OneApp {
    let flag = format!("--log-format={form}");
    OneApp::custom("", |daemon| daemon.flag(&flag), |app| app.ruby(SPEAKER))
}

/// Prints its query.
const SPEAKER: &str = "$stdout.sync = true
run ->(env) { puts env['QUERY_STRING'].gsub('ESC', \"\\e\").gsub('NL', \"\\n\").gsub('DEL', \"\\x7f\").gsub('LT', '<');
    [200, {}, [Process.pid.to_s]] }";

#[test]
fn json_log_lines_are_objects() {
    let setup = in_form("json");
    let pid: u32 = setup.nginx.get("/?hello-ESC[0m-%22").expect(200).text().parse().unwrap();
    setup.daemon.logs_eventually("hello-");
    setup.daemon.kill_router();
    setup.nginx.get("/?again").expect(200);
    setup.daemon.logs_eventually("again");
    let log = setup.daemon.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    let spoken = lines.iter().find(|line| line["message"] == "hello-\u{1b}[0m-%22").expect("the app's line");
    assert_eq!((&spoken["app_pid"], &spoken["part"]), (&pid.into(), &"router".into()));
    assert_eq!(spoken["app"], format!("{} (production)", setup.app.dir().display()));
    let started = lines.iter().find(|line| line["message"].as_str().unwrap().contains("starts")).unwrap();
    assert_eq!((&started["level"], &started["part"]), (&"notice".into(), &"supervisor".into()));
    assert!(lines.iter().any(|line| line["level"] == "error"), "the router's end is an error");
    let event = |name: &str| &lines.iter().find(|line| line["event"] == name).expect(name)["detail"];
    assert_eq!(*event("listening"), setup.test_dir.socket().display().to_string());
    assert_eq!(*event("process_ready"), pid.to_string());
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 27 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    }
}

#[test]
fn for_the_journal_a_line_begins_with_its_priority() {
    let setup = in_form("journald");
    let pid = setup.nginx.get("/?hello").expect(200).text();
    setup.daemon.logs_eventually(&format!("<5>App {pid} output: hello\n"));
    let log = setup.daemon.log();
    assert!(log.contains("<5>lifecycle::startup: flying-passenger "), "{log}");
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
}

#[test]
fn an_app_forges_no_line_in_any_form() {
    for form in ["plain", "json", "journald"] {
        let setup = in_form(form);
        setup.nginx.get("/?oneNLLT0>twoDELthree").expect(200);
        eventually("both lines have arrived", || setup.daemon.log().contains("three"));
        assert!(!setup.daemon.log().contains("\n<0>two"), "{form}");
        assert!(!setup.daemon.log().contains('\u{7f}'), "{form}");
    }
}

#[test]
fn an_unknown_log_format_is_refused() {
    let output = TestDir::new().daemon().flag("--log-format=xml").output();
    assert_eq!(output.status.code(), Some(1));
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        reported.contains(
            "invalid value \"xml\" in \"--log-format\": must be one of \"plain\", \"json\", \"journald\""
        ),
        "{reported}"
    );
    let setup = OneApp::with(Language::Ruby, "", |daemon| daemon.configured("log_format = \"json\"\n"));
    assert!(setup.daemon.log().starts_with("{\"time\":\""), "the file has the key");
}
