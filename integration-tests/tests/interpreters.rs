//! Interpreters of version managers, as files of an app's directory ask for them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use test_support::{App, Daemon, Nginx, ONE_APP_CONF, TestDir, is_root, skipped};

const UID: u32 = 54322;
/// The group `games`, which every Debian has.
const GID: u32 = 60;

const RUBY: &str = "run ->(env) { [200, {}, [ENV.fetch('WRAPPED', 'usual')]] }";
const PYTHON: &str = "import os\ndef app(env, start):\n    start('200 OK', [])\n    return [os.environ.get('WRAPPED', 'usual').encode()]\n";
const NODE: &str = "require('http').createServer((q, r) => r.end(process.env.WRAPPED || 'usual')).listen(1)";

struct Setup {
    nginx: Nginx,
    daemon: Daemon,
    test_dir: TestDir,
}

/// An app of a user in whose home directory `programs` are installed, each a script that runs the real one.
fn setup(lines: &str, programs: &[(&str, &str)], fill: impl FnOnce(App) -> App) -> Setup {
    let test_dir = TestDir::new();
    let app = fill(test_dir.app("app"));
    let home = test_dir.path("home");
    for (program, real) in programs {
        let path = home.join(program);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\nWRAPPED={program} exec /usr/bin/{real} \"$@\"\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    chown(app.dir(), Some(UID), Some(GID)).unwrap();
    let account = format!("visitor:x:{UID}:{GID}::{}:/bin/sh\n", home.display());
    let daemon = test_dir.daemon().with_accounts(&account).start();
    let lines = format!("passenger_user visitor; {lines}");
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", &lines)).start();
    Setup { nginx, daemon, test_dir }
}

fn needs_root(test: &str) -> bool {
    if !is_root() {
        skipped(test, "only root can show the daemon another /etc/passwd");
    }
    !is_root()
}

#[test]
fn versions_that_files_ask_for_are_used() {
    if needs_root("versions_that_files_ask_for_are_used") {
        return;
    }
    for (file, text, program, real, startup_file, source) in [
        (".ruby-version", "3.9.1\n", ".rbenv/versions/3.9.1/bin/ruby", "ruby", "config.ru", RUBY),
        (".tool-versions", "ruby 3.9.1", ".asdf/installs/ruby/3.9.1/bin/ruby", "ruby", "config.ru", RUBY),
        (".python-version", "3.99", ".pyenv/versions/3.99.2/bin/python", "python3", "app.py", PYTHON),
        (".nvmrc", "20", ".nvm/versions/node/v20.11.0/bin/node", "node", "server.js", NODE),
        (".node-version", "v20.11.0", ".nodenv/versions/20.11.0/bin/node", "node", "server.js", NODE),
    ] {
        for lines in ["", "passenger_load_shell_envvars off;"] {
            let setup =
                setup(lines, &[(program, real)], |app| app.file(file, text).file(startup_file, source));
            assert_eq!(setup.nginx.get("/").expect(200).text(), program, "{file} {lines}");
            let path = setup.test_dir.path("home").join(program);
            let version = text.trim().trim_start_matches("ruby ").trim_start_matches('v');
            setup.daemon.logs_eventually(&format!(", with {} ({file} asks for {version})", path.display()));
        }
    }
}

#[test]
fn a_directive_takes_precedence_over_a_version_file() {
    if needs_root("a_directive_takes_precedence_over_a_version_file") {
        return;
    }
    let program = (".nvm/versions/node/v20.11.0/bin/node", "node");
    let setup = setup("passenger_nodejs node;", &[program], |app| app.file(".nvmrc", "20").node(NODE));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "usual");
}

#[test]
fn a_version_that_is_not_installed_is_reported() {
    if needs_root("a_version_that_is_not_installed_is_reported") {
        return;
    }
    let setup = setup("", &[], |app| app.file(".nvmrc", "20").node(NODE));
    assert_eq!(setup.nginx.get("/").expect(200).text(), "usual");
    setup
        .daemon
        .logs_eventually("with the usual interpreter, as .nvmrc asks for Node.js 20, which is not installed");
}

#[test]
fn commands_of_a_directory_find_the_interpreter_that_it_asks_for() {
    if needs_root("commands_of_a_directory_find_the_interpreter_that_it_asks_for") {
        return;
    }
    let program = ".nvm/versions/node/v20.11.0/bin/node";
    let source = NODE.replace("listen(1)", "listen(process.env.PORT, '127.0.0.1')");
    for lines in ["", "passenger_load_shell_envvars off;"] {
        let setup = setup(lines, &[(program, "node")], |app| {
            app.file(".nvmrc", "20").file("web.js", &source).file("Procfile", "web: node web.js --production")
        });
        assert_eq!(setup.nginx.get("/").expect(200).text(), program, "{lines}");
    }
}

#[test]
fn hostile_version_files_do_not_stop_an_app() {
    if needs_root("hostile_version_files_do_not_stop_an_app") {
        return;
    }
    let setup = setup("", &[], |app| {
        for name in [".nvmrc", ".tool-versions"] {
            let fifo = std::process::Command::new("mkfifo").arg(app.path(name)).status();
            assert!(fifo.unwrap().success());
        }
        app.file(".node-version", "../../../../usr/bin").node(NODE)
    });
    assert_eq!(setup.nginx.get("/").expect(200).text(), "usual");
}
