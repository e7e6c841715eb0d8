//! Lines of the router in the log: none can be mistaken for one of the supervisor's.

use crate::daemon::{Daemon, eventually};
use crate::scripted_router::Ask;
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("a_router_forges_no_line_of_the_supervisor_for_people", forges_no_line_for_people),
    test("a_router_forges_no_line_of_the_supervisor_for_machines", forges_no_line_for_machines),
    test("a_router_forges_no_line_of_the_supervisor_for_the_journal", forges_no_line_for_the_journal),
    test("without_prefixes_a_router_still_forges_no_line_for_people", without_prefixes),
];

/// Has the router print these lines, and returns what the log contains after them.
fn printed(daemon: &mut Daemon, lines: &[String]) -> Vec<String> {
    let before = daemon.log().lines().count();
    let text = lines.join("\n") + "\nthe last line\n";
    daemon.ask(&Ask::Print(text.into_bytes()));
    eventually("the lines", || daemon.log().contains("the last line").then_some(()));
    daemon.log().lines().skip(before).map(str::to_owned).collect()
}

fn the_one<'l>(log: &'l [String], words: &str) -> &'l str {
    let mut found = log.iter().filter(|line| line.contains(words));
    let line = found.next().unwrap_or_else(|| panic!("{words}: {log:#?}"));
    assert_eq!(found.next(), None, "{words}");
    line
}

fn forges_no_line_for_people() {
    let mut daemon = Daemon::start();
    let (own, router) = (daemon.pid(), daemon.router_pid());
    let head = "[ N 2026-11-03 06:07:01.1234";
    let honest = format!("{head} {router}/router pool ]: honest");
    let log = printed(
        &mut daemon,
        &[
            honest.clone(),
            "    router | an explanation".to_owned(),
            "    supervisor | forged explanation".to_owned(),
            "    nothing | forged mark".to_owned(),
            format!("{head} {own}/supervisor spawn ]: forged"),
            format!("{head} {router}/supervisor spawn ]: wrong part"),
            format!("{head} {own}/router spawn ]: wrong number"),
            format!("[ N 2026-11-03 06:07:01 {own}/supervisor spawn ] {router}/router x ]: wrong time"),
            "no frame".to_owned(),
        ],
    );
    assert_eq!(the_one(&log, "honest"), honest);
    assert_eq!(the_one(&log, "an explanation"), "    router | an explanation");
    for words in [
        "forged explanation",
        "forged mark",
        "]: forged",
        "wrong part",
        "wrong number",
        "wrong time",
        "no frame",
        "the last line",
    ] {
        let line = the_one(&log, words);
        let frame = line.split(" ]: ").next().unwrap();
        assert!(frame.ends_with(&format!(" {router}/router output")), "{line}");
    }
}

fn forges_no_line_for_machines() {
    let mut daemon = Daemon::start_with(&["--log-format=json"]);
    let (own, router) = (daemon.pid(), daemon.router_pid());
    let begin = r#"{"time":"2026-11-03T06:07:01.123456Z","level":"notice""#;
    let honest = format!(
        r#"{begin},"pid":{router},"part":"router","module":"app","app":"/a","app_pid":7,"message":"h\"onest"}}"#
    );
    let log = printed(
        &mut daemon,
        &[
            honest.clone(),
            format!(r#"{begin},"pid":{own},"part":"supervisor","module":"spawn","message":"forged"}}"#),
            format!(
                r#"{begin},"pid":{router},"part":"router","module":"x","message":"twice","part":"supervisor"}}"#
            ),
            format!(
                r#"{begin},"pid":{router},"part":"router","module":"x","message":"escaped","p\u0061rt":"supervisor"}}"#
            ),
            format!(
                r#"{begin},"pid":{router},"part":"router","module":"x","message":"two"}}{{"part":"supervisor"}}"#
            ),
            "no frame".to_owned(),
        ],
    );
    assert_eq!(the_one(&log, "onest"), honest);
    for words in ["forged", "twice", "escaped", "two", "no frame", "the last line"] {
        let line = the_one(&log, words);
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&object["part"], &object["module"]), (&"router".into(), &"output".into()), "{line}");
        assert_eq!(object["pid"], router, "{line}");
    }
}

fn forges_no_line_for_the_journal() {
    let mut daemon = Daemon::start_with(&["--log-format=journald"]);
    let log = printed(
        &mut daemon,
        &[
            "<5>router pool: honest".to_owned(),
            "<5>App 7 output: of an app".to_owned(),
            "<2>startup: forged".to_owned(),
            "startup: without priority".to_owned(),
            "<0>router pool: too important".to_owned(),
        ],
    );
    assert_eq!(the_one(&log, "honest"), "<5>router pool: honest");
    assert_eq!(the_one(&log, "of an app"), "<5>App 7 output: of an app");
    for words in ["forged", "without priority", "too important", "the last line"] {
        let line = the_one(&log, words);
        assert!(line.starts_with("<4>router output: "), "{line}");
    }
    assert!(daemon.log().lines().all(|line| line.starts_with('<')), "{}", daemon.log());
}

fn without_prefixes() {
    let mut daemon = Daemon::start_with(&["--disable-log-prefix"]);
    let (own, router) = (daemon.pid(), daemon.router_pid());
    let forged = format!("[ N 2026-11-03 06:07:01.1234 {own}/supervisor spawn ]: forged");
    let log = printed(&mut daemon, &[forged, "of an app".to_owned()]);
    assert_eq!(the_one(&log, "of an app"), "of an app");
    let line = the_one(&log, "forged");
    assert!(line.contains(&format!(" {router}/router output ]: [ N ")), "{line}");
}
