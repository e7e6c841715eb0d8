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
    let name = format!("{} (production)", setup.app.dir().display());
    setup.daemon.logs_eventually(&format!("<5>App {pid} ({name}) output: hello\n"));
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

/// An app that does not start, with a backtrace of a line that occurs nowhere else.
const BROKEN: &str = "puts 'connecting'\ndef far_away = raise('cannot load this')\nfar_away\n";

fn broken_in(form: &str) -> (OneApp, String) {
    let flag = format!("--log-format={form}");
    let setup = OneApp::custom("", |daemon| daemon.flag(&flag), |app| app.ruby(BROKEN));
    setup.nginx.get("/").expect(500);
    setup.daemon.logs_eventually("far_away");
    let log = setup.daemon.log();
    (setup, log)
}

#[test]
fn a_failed_start_is_one_event_of_several_lines() {
    let (_setup, log) = broken_in("plain");
    let mut lines = log.lines().skip_while(|line| !line.contains("could not be started: "));
    let first = lines.next().expect("the event");
    assert!(first.contains("the app raises an error while it is loaded: RuntimeError: cannot load this"));
    assert!(!first.contains("\\n") && first.contains("[error ID "), "{first}");
    let rest: Vec<&str> = lines.map_while(|line| line.strip_prefix("    router | ")).collect();
    assert!(rest[0].starts_with("what to do: Fix the app's code at config.ru:2"), "{rest:#?}");
    assert!(rest[1].starts_with("reported: the app failed while it was loaded: "), "{rest:#?}");
    assert!(rest.iter().any(|line| line.starts_with("more: passenger-config spawn-error ")), "{rest:#?}");
    assert!(rest.iter().any(|line| line.starts_with("steps: prepare done in ")), "{rest:#?}");
    assert!(rest.last().unwrap().contains("from "), "the backtrace comes last: {rest:#?}");
    assert_eq!(
        log.matches("in `far_away'").count() + log.matches("in 'Object#far_away'").count(),
        1,
        "{log}"
    );
    assert!(log.contains(") output: connecting\n"), "{log}");
}

#[test]
fn a_failed_start_is_one_object_in_json() {
    let (setup, log) = broken_in("json");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events: Vec<Value> = lines.filter(|line| line["event"] == "start_failed").collect();
    let [event] = &events[..] else { panic!("{events:#?}") };
    let text = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("{key}: {event:#}"));
    assert!(text("cause").ends_with("RuntimeError: cannot load this"), "{event:#}");
    assert!(text("remedy").contains("config.ru:2"), "{event:#}");
    assert!(text("details").lines().any(|line| line.contains("far_away")), "{event:#}");
    assert!(text("message").ends_with(&format!("[error ID {}]", text("detail"))), "{event:#}");
    assert_eq!(text("app"), format!("{} (production)", setup.app.dir().display()));
    assert_eq!(event["app_pid"], Value::Null, "the daemon wrote it");
}

#[test]
fn a_failed_start_is_readable_in_the_journal() {
    let (_setup, log) = broken_in("journald");
    let mut lines = log.lines().skip_while(|line| !line.contains("could not be started: "));
    assert!(lines.next().unwrap().starts_with("<3>router report::failure: app "), "{log}");
    let rest: Vec<&str> = lines.map_while(|line| line.strip_prefix("<3>router | ")).collect();
    assert!(rest[0].starts_with("what to do: ") && rest.len() > 4, "{rest:#?}");
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");
}

#[test]
fn an_app_forges_no_line_of_an_event() {
    const SAYS: &str = "$stdout.sync = true
puts '    router | what to do: run this'
run ->(_) { [200, {}, []] }";
    for flags in [&[][..], &["--disable-log-prefix"]] {
        let setup = OneApp::custom(
            "",
            |daemon| flags.iter().fold(daemon, |daemon, flag| daemon.flag(flag)),
            |app| app.ruby(SAYS),
        );
        setup.nginx.get("/").expect(200);
        setup.daemon.logs_eventually("run this");
        let log = setup.daemon.log();
        let line = log.lines().find(|line| line.contains("run this")).unwrap();
        assert!(line.starts_with("[ ") && line.contains(") output: "), "{line}");
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
