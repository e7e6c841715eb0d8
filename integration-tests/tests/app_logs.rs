//! Log files of apps: with whose rights they are opened, their format, and rotation.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use test_support::{App, DaemonBuilder, OneApp, eventually, is_root, open_descriptors, skipped};

/// Prints its query, and a word when it is loaded.
const SPEAKER: &str = "$stdout.sync = true
puts 'loaded'
run ->(env) { puts env['QUERY_STRING']; [200, {}, [Process.pid.to_s]] }";

/// The app with a log file, after `lies` has been created there.
fn setup(file: &str, lies: impl FnOnce(&App)) -> OneApp {
    scene_with(file, lies, |daemon| daemon)
}

fn scene_with(
    file: &str,
    lies: impl FnOnce(&App),
    flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder,
) -> OneApp {
    let lines =
        format!("passenger_app_log_file {file}; passenger_spawn_method direct; passenger_min_instances 2;");
    OneApp::custom(&lines, flags, |app| {
        let app = app.ruby(SPEAKER);
        lies(&app);
        if is_root() { app.owned_by("games") } else { app }
    })
}

fn say(setup: &OneApp, word: &str) -> String {
    setup.nginx.get(&format!("/?{word}")).expect(200).text()
}

/// The line of the log for a word that this process prints.
fn printed(app: &App, pid: &impl std::fmt::Display, word: &str) -> String {
    format!("App {pid} ({} (production)) output: {word}\n", app.dir().display())
}

fn has(file: &Path, text: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|all| all.contains(text))
}

/// Waits until the line is in the file, and looks that it is in the daemon's log as well.
fn said_in(setup: &OneApp, file: &Path, word: &str) -> String {
    let pid = say(setup, word);
    let line = format!(" app ]: {}", printed(&setup.app, &pid, word));
    eventually(&format!("{word} is in {}", file.display()), || has(file, &line));
    // The router's lines come to it through the supervisor.
    setup.daemon.logs_eventually(&line);
    pid
}

#[test]
fn an_app_can_have_its_own_log_file() {
    let setup = setup("log/shop.log", |app| fs::create_dir(app.path("log")).unwrap());
    let file = setup.app.path("log/shop.log");
    let pid = said_in(&setup, &file, "hello");
    eventually("two processes run", || setup.daemon.app_pids().len() == 2);
    for pid in setup.daemon.app_pids() {
        let line = printed(&setup.app, &pid, "loaded");
        eventually("the output of the start is logged", || has(&file, &line));
    }
    let found = fs::metadata(&file).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o640);
    assert_eq!(found.uid(), fs::metadata(setup.app.dir()).unwrap().uid(), "it is the app's user's");
    test_support::kill_9(pid.parse().unwrap());
    eventually("it is replaced", || {
        let pids = setup.daemon.app_pids();
        pids.len() == 2 && !pids.contains(&pid.parse().unwrap())
    });
    said_in(&setup, &file, "after-a-crash");
    setup.daemon.kill_router();
    said_in(&setup, &file, "after-another-router");
}

#[test]
fn after_a_rotation_lines_go_to_a_new_file() {
    let setup = setup("shop.log", |_| ());
    let (file, renamed) = (setup.app.path("shop.log"), setup.app.path("shop.log.1"));
    said_in(&setup, &file, "before");
    fs::rename(&file, &renamed).unwrap();
    let pid = say(&setup, "renamed");
    eventually("lines follow the file", || has(&renamed, &printed(&setup.app, &pid, "renamed")));
    assert!(setup.daemon.tool("passenger-config", &["reopen-logs"]).status.success());
    eventually("there is a new file", || file.exists());
    eventually("lines go there", || has(&file, &printed(&setup.app, &say(&setup, "after"), "after")));
    assert!(!has(&renamed, "after"));
    let before = open_descriptors(setup.daemon.router());
    for _ in 0..20 {
        setup.daemon.tool("passenger-config", &["reopen-logs"]);
    }
    eventually("the old file is closed", || open_descriptors(setup.daemon.router()) <= before + 2);
}

#[test]
fn a_file_that_cannot_be_opened_costs_a_line_in_the_log() {
    let setup = setup("no/such/directory/shop.log", |_| ());
    let pid = say(&setup, "hello");
    let file = setup.app.path("no/such/directory/shop.log");
    setup.daemon.logs_eventually(&format!(
        "cannot use passenger_app_log_file {}: No such file or directory",
        file.display()
    ));
    setup.daemon.logs_eventually(&printed(&setup.app, &pid, "hello"));
}

#[test]
fn only_a_regular_file_is_accepted() {
    let mut reader = None;
    let setup = setup("pipe", |app| {
        let pipe = app.path("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Somebody holds its other end and reads nothing.
        reader = fs::File::options().read(true).write(true).open(&pipe).ok();
    });
    assert!(reader.is_some());
    say(&setup, "hello");
    setup.daemon.logs_eventually("it is not a regular file");
}

#[test]
fn the_apps_user_cannot_open_files_of_other_users() {
    if !is_root() {
        return skipped("the_apps_user_cannot_open_files_of_other_users", "it switches users");
    }
    let setup = setup("%%DIR%%/scratch/secret", |app| {
        fs::write(app.path("scratch/secret"), "root's\n").unwrap();
        fs::set_permissions(app.path("scratch/secret"), fs::Permissions::from_mode(0o600)).unwrap();
    });
    say(&setup, "hello");
    setup.daemon.logs_eventually("/secret: Permission denied");
    assert_eq!(fs::read_to_string(setup.test_dir.scratch("secret")).unwrap(), "root's\n");
}

#[test]
fn a_link_is_not_followed() {
    let setup = setup("shop.log", |app| {
        fs::write(app.path("tmp/target"), "").unwrap();
        symlink(app.path("tmp/target"), app.path("shop.log")).unwrap();
    });
    say(&setup, "hello");
    setup.daemon.logs_eventually("it is a symbolic link");
    assert_eq!(fs::read_to_string(setup.app.path("tmp/target")).unwrap(), "");
}

/// Removed at the end.
struct VarLog(PathBuf);

impl Drop for VarLog {
    fn drop(&mut self) {
        let _not_made = fs::remove_file(&self.0);
    }
}

#[test]
fn below_var_log_root_opens_it() {
    if !is_root() {
        return skipped("below_var_log_root_opens_it", "it takes root");
    }
    let file = VarLog(format!("/var/log/flying-passenger-test-{}-app.log", std::process::id()).into());
    let setup = setup(&file.0.display().to_string(), |_| ());
    said_in(&setup, &file.0, "hello");
    assert_eq!(fs::metadata(&file.0).unwrap().uid(), 0);
}

#[test]
fn the_file_has_the_form_of_the_log() {
    let setup = scene_with("shop.log", |_| (), |daemon| daemon.flag("--log-format=json"));
    let pid: u32 = say(&setup, "hello").parse().unwrap();
    let file = setup.app.path("shop.log");
    eventually("the line is there", || has(&file, "\"message\":\"hello\""));
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.contains("hello")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["app_pid"], &line["module"]), (&pid.into(), &"app".into()));
}
