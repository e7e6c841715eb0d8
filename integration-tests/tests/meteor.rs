//! Meteor projects, with a stand-in for the `meteor` tool that takes its arguments and ends by SIGINT only, as it does.

use std::os::unix::fs::PermissionsExt;

use test_support::{OneApp, eventually};

/// What `meteor run -p PORT …` does as far as a server can see: another process listens, and SIGTERM is not its end.
const TOOL: &str = r#"#!/bin/sh
trap '' TERM
exec node -e '
process.on("SIGTERM", () => {});
process.on("SIGINT", () => { console.log("meteor was interrupted"); process.exit(0); });
const port = process.argv[process.argv.indexOf("-p") + 1];
require("http").createServer((request, response) => response.end(process.argv.slice(1).join(" ")))
    .listen(port, "127.0.0.1");
' -- "$@"
"#;

fn project(lines: &str) -> OneApp {
    // The tool is looked up in PATH, as an operator would have it.
    let lines = format!("{lines} passenger_env_var PATH %%DIR%%/app/bin:/usr/bin:/bin;");
    OneApp::app(&lines, |app| {
        let app = app.file(".meteor/release", "METEOR@2.16\n").file("bin/meteor", TOOL);
        std::fs::set_permissions(app.path("bin/meteor"), PermissionsExt::from_mode(0o755)).unwrap();
        app
    })
}

#[test]
fn a_project_is_run_by_its_tool_and_interrupted_at_its_end() {
    let setup = project("passenger_app_env development;");
    let reported = setup.nginx.get("/").expect(200).text();
    assert!(reported.starts_with("run -p ") && reported.split(' ').count() == 3, "{reported}");
    let root = setup.app.dir().to_str().unwrap();
    assert!(setup.daemon.tool("passenger-config", &["restart-app", root]).status.success());
    setup.nginx.get("/").expect(200);
    setup.daemon.logs_eventually("meteor was interrupted");
    eventually("one process is left", || setup.daemon.app_pids().len() == 1);
}

#[test]
fn in_production_it_gets_its_environment_and_settings() {
    let setup = project("passenger_meteor_app_settings settings.json;");
    let reported = setup.nginx.get("/").expect(200).text();
    assert!(reported.ends_with(" --settings settings.json --production"), "{reported}");
}

#[test]
fn a_bundle_is_a_node_app() {
    // The shape of `meteor build`: main.js starts a server on $PORT.
    let main = "process.argv.splice(2); require('./programs/server/boot.js');";
    let boot = "require('http').createServer((_, a) => a.end(process.env.METEOR_SETTINGS)).listen(process.env.PORT);";
    let lines = r#"passenger_app_type node; passenger_startup_file main.js;
        passenger_env_var METEOR_SETTINGS '{"public":{}}';"#;
    let setup = OneApp::app(lines, |app| app.file("main.js", main).file("programs/server/boot.js", boot));
    assert_eq!(setup.nginx.get("/").expect(200).text(), r#"{"public":{}}"#);
}

#[test]
fn without_the_tool_the_log_names_what_is_missing() {
    let setup = OneApp::app("", |app| app.file(".meteor/release", "METEOR@2.16\n"));
    assert_eq!(setup.nginx.get("/").status(), 500);
    setup.daemon.logs_eventually(r#"cannot run "meteor": found in none of the directories of PATH"#);
    setup.test_dir.expect_log_line("could not be started");
}
