//! `passenger_env_file`: variables of a file reach the app at each start, and no app gets the content of another file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use test_support::{App, Language, OneApp, for_each_language, is_root, skipped};

/// True, with a loud line, where the test cannot be run.
fn needs_root(test: &str) -> bool {
    if !is_root() {
        skipped(test, "users are switched by root only");
    }
    !is_root()
}

/// A directory of root in which no other user can change anything, as /etc/flying-passenger/env.
struct RootDir(PathBuf);

impl RootDir {
    fn new(name: &str) -> Self {
        let dir = PathBuf::from(format!("/run/flying-passenger-test-{name}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for RootDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn a_flag_or_the_configuration_file_names_a_file_for_every_app() {
    let filled = |app: App| {
        let app = owned(app.standard(Language::Python));
        write(&app, ".env", "A=1\n", 0o600);
        app
    };
    let setup = OneApp::custom("", |daemon| daemon.flag("--env-file=.env"), filled);
    assert_eq!(variable(&setup, "A"), "1");
    let setup =
        OneApp::custom("", |daemon| daemon.configured("env_file = \".env\"\nenv_dir = \"/run\"\n"), filled);
    assert_eq!(variable(&setup, "A"), "1");
}

/// The user `games`, whose apps these are.
const GAMES: u32 = 5;

fn owned(app: App) -> App {
    if is_root() { app.owned_by("games") } else { app }
}

fn write(app: &App, name: &str, text: &str, mode: u32) {
    app.write(name, text);
    if is_root() {
        chown(app.path(name), Some(GAMES), None).unwrap();
    }
    fs::set_permissions(app.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn variable(setup: &OneApp, name: &str) -> String {
    setup.nginx.get(&format!("/environ?name={name}")).expect(200).text()
}

const LINES: &str =
    "passenger_app_env development; passenger_env_file .env; passenger_env_var BOTH directive;";

for_each_language! {
    fn a_file_reaches_the_app_at_each_start(language) {
        let lines = format!("{LINES} {}", language.directives());
        let setup = OneApp::app(&lines, |app| {
            let app = owned(app.standard(language));
            write(&app, ".env", "# secrets\nexport COLOUR='dark red'\nBOTH=file\nRAILS_ENV=of_the_file\n", 0o600);
            app
        });
        assert_eq!(variable(&setup, "COLOUR"), "dark red");
        assert_eq!(variable(&setup, "BOTH"), "directive");
        assert_eq!(variable(&setup, "RAILS_ENV"), "of_the_file");
        write(&setup.app, ".env", "COLOUR=green\n", 0o600);
        let dir = setup.app.dir().display().to_string();
        let restart = setup.daemon.tool("passenger-config", &["restart-app", &dir, "--wait"]);
        assert!(restart.status.success(), "{restart:?}");
        assert_eq!(variable(&setup, "COLOUR"), "green");
        assert_eq!(variable(&setup, "RAILS_ENV"), "development");
    }
}

#[test]
fn no_report_shows_a_variable_of_a_file() {
    let setup = OneApp::app(LINES, |app| {
        let app = owned(app.ruby("raise 'does not start'"));
        write(&app, ".env", "COLOUR=hunter2\n", 0o600);
        app
    });
    let page = setup.nginx.get("/").expect(500).text();
    assert!(page.contains("COLOUR") && !page.contains("hunter2"), "{page}");
    let log = setup.daemon.log();
    let id = log.split("[error ID ").nth(1).and_then(|rest| rest.split(']').next()).unwrap().to_owned();
    for arguments in
        [&["spawn-error", &id][..], &["spawn-error", &id, "--json"], &["settings"], &["settings", "--json"]]
    {
        let output = setup.daemon.tool("passenger-config", arguments);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !printed.contains("hunter2"), "{arguments:?}: {printed}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn an_app_does_not_start_without_its_file() {
    let setup = OneApp::app(LINES, |app| owned(app.standard(Language::Python)));
    let refusal = |why: &str| {
        let page = setup.nginx.get("/").expect(500).text();
        assert!(page.contains(why), "{why}: {page}");
        setup.daemon.logs_eventually(why);
    };
    refusal("No such file or directory");
    write(&setup.app, ".env", "A=1\nsecret words\n", 0o600);
    refusal("line 2: it has no ");
    assert!(!setup.daemon.log().contains("secret words"));
    write(&setup.app, ".env", "A=1\n", 0o620);
    refusal("its group or everybody may write to it: run chmod go-w");
    fs::remove_file(setup.app.path(".env")).unwrap();
    nix::unistd::mkfifo(&setup.app.path(".env"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    chown(setup.app.path(".env"), Some(fs::metadata(setup.app.dir()).unwrap().uid()), None).unwrap();
    refusal("it is not a regular file");
    fs::remove_file(setup.app.path(".env")).unwrap();
    write(&setup.app, ".env", "A=1\n", 0o644);
    assert_eq!(variable(&setup, "A"), "1");
    setup.daemon.logs_eventually("everybody may read passenger_env_file");
}

#[test]
fn a_running_app_is_kept_when_its_new_file_is_wrong() {
    let lines = format!("{LINES} passenger_resist_deployment_errors on;");
    let setup = OneApp::app(&lines, |app| {
        let app = owned(app.standard(Language::Python));
        write(&app, ".env", "A=1\n", 0o600);
        app
    });
    assert_eq!(variable(&setup, "A"), "1");
    write(&setup.app, ".env", "A\n", 0o600);
    let dir = setup.app.dir().display().to_string();
    let restart =
        setup.daemon.tool("passenger-config", &["restart-app", &dir, "--rolling-restart", "--wait"]);
    assert!(!restart.status.success(), "{restart:?}");
    assert!(String::from_utf8_lossy(&restart.stderr).contains("line 1: it has no"), "{restart:?}");
    assert_eq!(variable(&setup, "A"), "1");
}

#[test]
fn files_of_root_are_read_below_one_directory_only() {
    if needs_root("files_of_root_are_read_below_one_directory_only") {
        return;
    }
    let (trusted, other) = (RootDir::new("env"), RootDir::new("other"));
    let file = trusted.file("shop.env", "COLOUR=red\n");
    let outside = other.file("shop.env", "COLOUR=red\n");
    symlink(&outside, trusted.0.join("link.env")).unwrap();
    let dots =
        format!("{}/../flying-passenger-test-other-{}/shop.env", trusted.0.display(), std::process::id());
    let flag = format!("--env-dir={}", trusted.0.display());
    let with = |path: &str| {
        let lines = format!("passenger_app_env development; passenger_env_file {path};");
        OneApp::custom(
            &lines,
            |daemon| daemon.flag(&flag),
            |app| app.standard(Language::Python).owned_by("games"),
        )
    };
    let setup = with(&file.display().to_string());
    assert_eq!(variable(&setup, "COLOUR"), "red");
    let dir = setup.app.dir().display().to_string();
    let output = setup.daemon.tool("passenger-config", &["exec", &dir, "--", "sh", "-c", "echo $COLOUR"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "red\n", "{output:?}");
    let outside = outside.display().to_string();
    let link = trusted.0.join("link.env").display().to_string();
    for path in ["/etc/shadow", &outside, &link, &dots] {
        let setup = with(path);
        let page = setup.nginx.get("/").expect(500).text();
        let refused = page.contains("may not read it") || page.contains("root does not read it");
        assert!(refused && !page.contains("line "), "{path}: {page}");
    }
}

#[test]
fn only_root_or_the_apps_user_may_own_the_file() {
    if needs_root("only_root_or_the_apps_user_may_own_the_file") {
        return;
    }
    let setup = OneApp::app(LINES, |app| app.standard(Language::Python).owned_by("games"));
    write(&setup.app, ".env", "A=1\n", 0o644);
    chown(setup.app.path(".env"), Some(8), None).unwrap();
    let page = setup.nginx.get("/").expect(500).text();
    assert!(page.contains("it belongs to user 8"), "{page}");
    chown(setup.app.path(".env"), Some(0), Some(60)).unwrap();
    fs::set_permissions(setup.app.path(".env"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(variable(&setup, "A"), "1");
}
