//! Tools of users who may not see everything: each says that its list is not complete, and how to see all.

use std::process::Output;

use serde_json::Value;
use test_support::{DaemonBuilder, Language, OneApp, is_root, skipped};

/// What the tools say of an incomplete list.
const NOTE: &str =
    "only the apps that run as this user; root (sudo) and members of the group of --status-group see all";

fn setup(test: &str) -> Option<OneApp> {
    if is_root() {
        return Some(OneApp::with(Language::Python, "", |daemon| daemon.flag("--status-group=adm")));
    }
    skipped(test, "it switches users");
    None
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn every_list_of_an_ordinary_user_says_that_it_is_not_complete() {
    let Some(setup) = setup("every_list_of_an_ordinary_user_says_that_it_is_not_complete") else { return };
    setup.app_pid();
    for (tool, arguments) in [
        ("passenger-status", &[][..]),
        ("passenger-status", &["--show=requests"]),
        ("passenger-status", &["--no-header"]),
        ("passenger-config", &["settings"]),
    ] {
        let own = setup.daemon.tool_as("games", "games", tool, arguments);
        assert!(own.status.success() && text(&own).contains(NOTE), "{tool} {arguments:?}: {own:?}");
        for all in [setup.daemon.tool_as("games", "adm", tool, arguments), setup.daemon.tool(tool, arguments)]
        {
            assert!(all.status.success() && !text(&all).contains(NOTE), "{tool} {arguments:?}: {all:?}");
        }
    }
}

#[test]
fn json_and_xml_contain_the_scope_of_a_list() {
    let Some(setup) = setup("json_and_xml_contain_the_scope_of_a_list") else { return };
    setup.app_pid();
    for show in ["--show=json", "--show=server"] {
        let scope = |group| {
            let output = setup.daemon.tool_as("games", group, "passenger-status", &[show]);
            assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
            serde_json::from_slice::<Value>(&output.stdout).unwrap()["scope"].clone()
        };
        assert_eq!((scope("games"), scope("adm")), ("own".into(), "all".into()));
    }
    let xml = text(&setup.daemon.tool_as("games", "games", "passenger-status", &["--show=xml"]));
    assert!(xml.contains("<scope>own</scope>"), "{xml}");
}

#[test]
fn secrets_are_shown_to_root_only() {
    if !is_root() {
        return skipped("secrets_are_shown_to_root_only", "it switches users");
    }
    let lines = "passenger_env_var SECRET_KEY_BASE top5ecret; passenger_env_var DATABASE_URL pg://me:top5ecret@db/x; \
                 passenger_env_var GIT_COMPASS north; passenger_sticky_sessions_cookie_name _route;";
    let lines = format!("{} {lines}", Language::Python.directives());
    let with_group = |daemon: DaemonBuilder| daemon.flag("--status-group=adm");
    let setup = OneApp::custom(&lines, with_group, |app| app.standard(Language::Python).owned_by("games"));
    setup.app_pid();
    for (tool, arguments) in [
        ("passenger-config", &["settings"][..]),
        ("passenger-config", &["settings", "--json"]),
        ("passenger-status", &["--show=json"]),
        ("passenger-config", &["api-call", "GET", "/pool.json"]),
    ] {
        let root = text(&setup.daemon.tool(tool, arguments));
        assert!(root.contains("top5ecret") && !root.contains("[hidden]"), "{tool} {arguments:?}: {root}");
        // A member of the status group, and the user that the app runs as.
        for group in ["adm", "games"] {
            let shown = text(&setup.daemon.tool_as("games", group, tool, arguments));
            assert!(!shown.contains("top5ecret"), "{tool} {arguments:?}: {shown}");
            for word in ["SECRET_KEY_BASE", "[hidden]", "pg://[hidden]@db/x", "north", "_route"] {
                assert!(shown.contains(word), "{word}: {tool} {arguments:?}: {shown}");
            }
        }
    }
}

#[test]
fn no_app_matches_is_explained_to_an_ordinary_user() {
    let Some(setup) = setup("no_app_matches_is_explained_to_an_ordinary_user") else { return };
    setup.app_pid();
    let root = setup.app.dir().display().to_string();
    for command in ["restart-app", "pause-app", "forget-app"] {
        let refused = setup.daemon.tool_as("games", "games", "passenger-config", &[command, &root]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            text(&refused).contains(&format!("no running app of this user matches; considered are {NOTE}"))
        );
    }
    let ignored = ["restart-app", &root, "--ignore-app-not-running"];
    let ignored = setup.daemon.tool_as("games", "games", "passenger-config", &ignored);
    assert!(ignored.status.success() && text(&ignored).contains(NOTE), "{ignored:?}");
    // Root is told that there is none.
    let none = setup.daemon.tool("passenger-config", &["restart-app", "/nonexistent"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none).contains("no running app matches; ") && !text(&none).contains(NOTE), "{none:?}");
}
