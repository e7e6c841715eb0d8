//! The environment and limits that a real process sees.

use std::collections::HashMap;
use std::fs;

use nix::sys::resource::{Resource, getrlimit};

use crate::daemon::{Daemon, generic, until_runs, with_loader};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("an_app_sees_passengers_variables", an_app_sees_passengers_variables),
    test("a_loader_sees_its_own_variables_besides", a_loader_sees_its_own_variables_besides),
    test("an_app_has_the_limits_the_daemon_was_started_with", an_app_has_the_daemons_limits),
];

fn variables(pid: i32) -> HashMap<String, String> {
    let all = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let pairs = all.split_terminator('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn an_app_sees_passengers_variables() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let mut spec = generic(&root, "sleep 1000");
    spec.settings.app_env = "staging".into();
    spec.settings.env_var = vec![("NODE_ENV".into(), "mine".into()), ("EMPTY".into(), String::new())];
    let record = daemon.spawn(spec);
    until_runs(record.pid, "sleep");
    let seen = variables(record.pid);
    let expected = [
        ("IN_PASSENGER", "1"),
        ("RAILS_ENV", "staging"),
        ("NODE_ENV", "mine"),
        ("EMPTY", ""),
        ("SERVER_SOFTWARE", "nginx/1.22.1"),
        ("PWD", root.to_str().unwrap()),
        ("FROM_THE_DAEMON", "kept"),
        ("USER", record.user.name.as_str()),
    ];
    for (name, value) in expected {
        assert_eq!(seen.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(seen.contains_key("PORT"));
    for name in ["NOTIFY_SOCKET", "RACK_BASE_URI", "FLYING_PASSENGER_GROUP"] {
        assert_eq!(seen.get(name), None, "{name}");
    }
}

fn a_loader_sees_its_own_variables_besides() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let mut spec = with_loader(&daemon, &root, "echo up; exec sleep 1000");
    spec.base_uri = "/shop".into();
    let record = daemon.spawn(spec);
    daemon.output(record.process);
    until_runs(record.pid, "sleep");
    let seen = variables(record.pid);
    assert_eq!(seen["FLYING_PASSENGER_STARTUP_FILE"], root.join("config.ru").to_str().unwrap());
    assert_eq!(seen["FLYING_PASSENGER_GROUP"], "test (production)");
    assert_eq!(seen["RACK_BASE_URI"], "/shop");
    assert_eq!(seen.get("PORT"), None);
}

fn an_app_has_the_daemons_limits() {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let oom_score = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let record = daemon.spawn(generic(&root, "ulimit -Sn; cat /proc/self/oom_score_adj; exec sleep 1000"));
    assert_eq!(daemon.output(record.process), soft.to_string());
    assert_eq!(daemon.output(record.process), oom_score.trim());
}
