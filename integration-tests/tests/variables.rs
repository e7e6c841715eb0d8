//! Variables for access logs, and the request's name and start for the app.

use test_support::{
    Language, ONE_APP_CONF, Request, TestDir, eventually, eventually_some, for_each_language, kill_9,
};

const FORMAT: &str = r#"log_format served '$uri|$status|$passenger_app_group|$passenger_process_pid|$passenger_queue_time|$passenger_app_time|$passenger_request_id';"#;

/// A standard app whose nginx writes an access log with all variables; `lines` go into the server block.
struct Logged {
    nginx: test_support::Nginx,
    daemon: test_support::Daemon,
    test_dir: TestDir,
}

impl Logged {
    fn new(language: Language, lines: &str) -> Self {
        let test_dir = TestDir::new();
        test_dir.app("app").standard(language).file("private/kept.txt", "kept");
        let daemon = test_dir.daemon().flag("--max-pool-size=1").start();
        let log = format!("access_log {} served;", test_dir.path("served.log").display());
        let conf = ONE_APP_CONF
            .replace("%%HTTP%%", &format!("%%HTTP%% {FORMAT}"))
            .replace("%%APP%%", &format!("{} {log} {lines}", language.directives()));
        let nginx = test_dir.nginx(&conf).start();
        Self { nginx, daemon, test_dir }
    }

    /// The fields of the line for `uri`, which nginx writes after it has answered.
    fn line(&self, uri: &str) -> Vec<String> {
        eventually_some(&format!("the access log has a line for {uri}"), || {
            let log = std::fs::read_to_string(self.test_dir.path("served.log")).unwrap_or_default();
            let line = log.lines().rev().find(|line| line.starts_with(&format!("{uri}|")))?;
            Some(line.split('|').map(str::to_owned).collect())
        })
    }
}

/// `0.012`, as a number.
fn seconds(text: &str) -> f64 {
    let (whole, fraction) = text.split_once('.').unwrap_or_else(|| panic!("no time: {text}"));
    assert!(!whole.is_empty() && fraction.len() == 3, "not as nginx writes times: {text}");
    text.parse().unwrap()
}

for_each_language! {
    fn a_log_line_has_the_process_and_the_times(language) {
        let logged = Logged::new(language, "");
        let pid = logged.nginx.get("/pid").expect(200).text();
        let line = logged.line("/pid");
        let group = format!("{} (production)", logged.test_dir.path("app").display());
        assert_eq!(line[1..4], ["200", &group, &pid], "{line:?}");
        assert!(seconds(&line[4]) >= 0.0 && seconds(&line[5]) >= 0.0, "{line:?}");
        assert!(line[6].len() == 32 && line[6].bytes().all(|byte| byte.is_ascii_hexdigit()), "{line:?}");
    }
}

#[test]
fn queue_time_and_app_time_are_separate() {
    let logged = Logged::new(Language::Ruby, "");
    logged.nginx.get("/pid").expect(200);
    let mut slow = logged.nginx.connect();
    slow.send(Request::get("/wait?name=slow").bytes("keep-alive"));
    eventually("the only process is busy", || logged.test_dir.scratch("slow.arrived").exists());
    let mut queued = logged.nginx.connect();
    queued.send(Request::get("/env").bytes("keep-alive"));
    eventually("the other request waits", || logged.daemon.status().contains("Requests in queue: 1"));
    test_support::stays("it waits", std::time::Duration::from_millis(200), || true);
    logged.test_dir.open_gate("slow");
    slow.read_response().expect(200);
    queued.read_response().expect(200);
    let (slow, queued) = (logged.line("/wait"), logged.line("/env"));
    assert!(seconds(&slow[5]) >= 0.2, "the app took its time: {slow:?}");
    assert!(seconds(&queued[4]) >= 0.2, "it waited: {queued:?}");
    assert!(seconds(&queued[5]) < seconds(&slow[5]), "{queued:?} {slow:?}");
}

#[test]
fn an_internal_redirect_keeps_the_variables() {
    let lines = "location /hand-over { passenger_env_var X y; } location /private/ { internal; root %%DIR%%/app; \
                 passenger_enabled off; }";
    let logged = Logged::new(Language::Ruby, lines);
    logged.test_dir.app("app").ruby(
        "run ->(env) { [200, { 'X-Accel-Redirect' => '/private/kept.txt', 'X-Pid' => Process.pid.to_s }, []] }",
    );
    let answer = logged.nginx.get("/hand-over").expect(200);
    assert_eq!(answer.text(), "kept");
    let line = logged.line("/private/kept.txt");
    assert!(line[3].parse::<u32>().is_ok(), "{line:?}");
    assert!(line[2].ends_with(" (production)"), "{line:?}");
}

#[test]
fn variables_are_empty_without_an_app() {
    let mut logged = Logged::new(Language::Ruby, "location /static { passenger_enabled off; return 204; }");
    logged.nginx.get("/static").expect(204);
    let line = logged.line("/static");
    assert_eq!(line[2..6], ["-", "-", "-", "-"], "{line:?}");
    assert_eq!(line[6].len(), 32, "a request has its name anyway: {line:?}");
    logged.test_dir.expect_log_line("failed (2: No such file or directory)");
    logged.daemon.stop();
    logged.nginx.get("/gone").expect(502);
    let line = logged.line("/gone");
    assert!(line[2].ends_with(" (production)") && line[3] == "-", "{line:?}");
    logged.daemon.start_again();
}

for_each_language! {
    fn the_app_gets_the_request_id_of_the_log(language) {
        let logged = Logged::new(language, "");
        let seen = |name: &str| logged.nginx.send(Request::get("/env").header("X-Request-Id", name)).expect(200).text();
        assert!(seen("from-the-client").contains("from-the-client"));
        eventually("the log has it too", || logged.line("/env")[6] == "from-the-client");
        let text = seen("not a name");
        let made = eventually_some("the log has another", || {
            Some(logged.line("/env")[6].clone()).filter(|name| name != "from-the-client")
        });
        assert!(made.len() == 32 && text.contains(&made) && !text.contains("not a name"), "{made} in {text}");
        assert!(text.contains("t=1"), "X-Request-Start is there: {text}");
    }
}

#[test]
fn a_replaced_process_has_another_value() {
    let logged = Logged::new(Language::Ruby, "");
    let first: u32 = logged.nginx.get("/pid").expect(200).text().parse().unwrap();
    kill_9(first);
    eventually("another process answers", || logged.nginx.get("/pid").text() != first.to_string());
    let second = logged.nginx.get("/pid").expect(200).text();
    eventually("the log names the one that answered", || logged.line("/pid")[3] == second);
}
