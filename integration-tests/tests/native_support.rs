//! Native support of the loaders: built, used, shown, and refused where it does not fit or is not trusted.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use test_support::{Language, ONE_APP_CONF, OneApp, TestDir, binary, eventually};

/// `passenger-config build-native-support` with a directory.
fn build(dir: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(binary("passenger-config"));
    command.arg("build-native-support").arg("--dir").arg(dir).args(more);
    command.output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Builds for Ruby, and returns the object.
fn object(dir: &Path) -> PathBuf {
    let output = build(dir, &["--ruby", "/usr/bin/ruby"]);
    let printed = printed(&output);
    assert!(output.status.success(), "{printed}");
    let line = printed.lines().find_map(|line| line.strip_prefix("built for /usr/bin/ruby: ")).unwrap();
    line.into()
}

/// An app with native support in a directory of the test.
fn started(test_dir: TestDir, lines: &str) -> OneApp {
    let native = test_dir.path("native");
    fs::create_dir_all(&native).unwrap();
    let app = test_dir.app("app").standard(Language::Ruby);
    // The directory is named in both ways.
    let daemon = match lines.is_empty() {
        true => test_dir.daemon().configured(&format!("native_support_dir = {native:?}\n")),
        false => test_dir.daemon().flag(&format!("--native-support-dir={}", native.display())),
    };
    let daemon = daemon.start();
    let lines = format!("{} {lines}", Language::Ruby.directives());
    let nginx = test_dir.nginx(&ONE_APP_CONF.replace("%%APP%%", &lines)).start();
    OneApp { nginx, daemon, app, test_dir }
}

/// What the status shows of the first process.
fn shown(setup: &OneApp) -> Option<String> {
    let pool = setup.daemon.tool("passenger-status", &["--show=json"]).stdout;
    let pool: Value = serde_json::from_slice(&pool).unwrap();
    pool["groups"][0]["processes"][0]["native_support"].as_str().map(str::to_owned)
}

#[test]
fn ruby_uses_what_was_built_for_its_interpreter() {
    for method in ["smart", "direct"] {
        let test_dir = TestDir::new();
        object(&test_dir.path("native"));
        let setup = started(test_dir, &format!("passenger_spawn_method {method};"));
        let pid = setup.app_pid();
        assert_eq!(shown(&setup).as_deref(), Some("yes"), "{method}");
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        assert!(maps.contains("flying_passenger_native.so"), "{method}: {maps}");
        assert!(
            printed(&setup.daemon.tool("passenger-status", &["--verbose"])).contains("    Native  : yes\n")
        );
        assert!(!setup.daemon.status().contains("Native"), "the usual layout is Passenger's");
        let xml = printed(&setup.daemon.tool("passenger-status", &["--show=xml"]));
        assert!(xml.contains("<native_support>yes</native_support>"), "{xml}");
        setup.daemon.kill_router();
        assert_eq!(setup.app_pid(), pid);
        assert_eq!(shown(&setup).as_deref(), Some("yes"), "the next router knows it");
    }
}

#[test]
fn without_a_fitting_object_the_status_has_the_reason() {
    let test_dir = TestDir::new();
    let object = object(&test_dir.path("native"));
    let setup = started(test_dir, "passenger_spawn_method direct;");
    let reason_after = |change: &dyn Fn()| {
        change();
        let root = setup.app.dir().display().to_string();
        assert!(setup.daemon.tool("passenger-config", &["restart-app", &root, "--wait"]).status.success());
        setup.app_pid();
        shown(&setup).unwrap()
    };
    setup.app_pid();
    assert_eq!(shown(&setup).as_deref(), Some("yes"));
    let good = fs::read(&object).unwrap();
    let replace = |contents: &[u8]| {
        // In one step: the process that runs has the earlier file mapped.
        let new = setup.test_dir.path("new");
        fs::write(&new, contents).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o644)).unwrap();
        fs::rename(&new, &object).unwrap();
    };

    let cut = reason_after(&|| replace(&good[..good.len() / 2]));
    assert_eq!(
        cut,
        format!("no: refused: {} is incomplete or not an object: build it again", object.display())
    );
    let text = reason_after(&|| replace(b"not an object"));
    assert_eq!(text, cut);
    let strange = fs::read("/usr/lib/x86_64-linux-gnu/libz.so.1").unwrap();
    let strange = reason_after(&|| replace(&strange));
    assert!(strange.starts_with(&format!("no: cannot load {}", object.display())), "{strange}");
    assert_eq!(reason_after(&|| replace(&good)), "yes");

    let open = reason_after(&|| fs::set_permissions(&object, Permissions::from_mode(0o666)).unwrap());
    assert_eq!(open, format!("no: other users can write to {}: chmod go-w it", object.display()));
    replace(&good);
    let others = reason_after(&|| chown(&object, Some(12345), None).unwrap());
    assert_eq!(others, format!("no: refused: {} belongs to another user than root", object.display()));
    let link = reason_after(&|| {
        fs::remove_file(&object).unwrap();
        symlink("/usr/lib/os-release", &object).unwrap();
    });
    assert_eq!(link, format!("no: refused: {} is not a regular file", object.display()));

    let other = object.parent().unwrap().with_file_name("ruby-ruby-9.9.9-p1-x86_64-linux");
    let key = object.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let missing = reason_after(&|| fs::rename(object.parent().unwrap(), other.clone()).unwrap());
    // The directory still has a link in place of an object.
    assert!(missing.ends_with("is not a regular file"), "{missing}");
    let missing = reason_after(&|| fs::remove_file(other.join("flying_passenger_native.so")).unwrap());
    assert_eq!(missing, format!("no: not built for {key}"));
}

#[test]
fn native_support_can_be_switched_off() {
    let test_dir = TestDir::new();
    object(&test_dir.path("native"));
    let setup = started(test_dir, "passenger_native_support off;");
    setup.app_pid();
    assert_eq!(shown(&setup).as_deref(), Some("no: passenger_native_support is off"));
}

#[test]
fn an_object_that_is_built_later_serves_the_next_process() {
    let setup = started(TestDir::new(), "");
    setup.app_pid();
    let why = "no: not built: run \"passenger-config build-native-support\"";
    assert_eq!(shown(&setup).as_deref(), Some(why));
    object(&setup.test_dir.path("native"));
    setup.app.touch_restart_txt();
    eventually("the next process uses it", || {
        setup.app_pid();
        shown(&setup).as_deref() == Some("yes")
    });
}

#[test]
fn errors_of_the_build_name_what_is_missing() {
    let test_dir = TestDir::new();
    let dir = test_dir.path("native");
    let path = |name: &str| test_dir.path(name).display().to_string();
    let program = |name: &str, text: &str| {
        fs::write(test_dir.path(name), text).unwrap();
        fs::set_permissions(test_dir.path(name), Permissions::from_mode(0o755)).unwrap();
    };
    program("fails", "#!/bin/sh\necho out of cheese >&2; exit 3\n");
    program("odd", "#!/bin/sh\necho key=../../etc\n");
    program("headless", "#!/bin/sh\nprintf 'key=ruby-x\\ncc=cc\\nheader=/nowhere/ruby.h\\n'\n");
    program("no-cc", "#!/bin/sh\nprintf 'key=ruby-x\\ncc=no-such-cc\\n'\n");
    program("bad-cc", "#!/bin/sh\nprintf 'key=ruby-x\\ncc=cc\\nflag=-no-such-flag\\n'\n");
    program("jruby", "#!/bin/sh\nprintf 'refused=jruby is not supported\\nkey=ruby-x\\ncc=cc\\n'\n");
    for (name, why) in [
        ("absent", "there is no such program"),
        ("fails", "it cannot report how C code is compiled (exit status: 3): out of cheese"),
        ("odd", "it does not report what it is: \"../../etc\""),
        ("headless", "/nowhere/ruby.h is missing: install the development files of ruby (Debian: apt-get"),
        ("no-cc", "the C compiler no-such-cc is missing: install it (Debian: apt-get install gcc"),
        ("bad-cc", "the C compiler cc failed (exit status: 1):"),
        ("jruby", "jruby is not supported"),
    ] {
        let output = build(&dir, &["--ruby", &path(name)]);
        let text = printed(&output);
        assert!(text.contains(&format!("no native support for {}: {why}", path(name))), "{name}: {text}");
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert_eq!(build(&dir, &["--ruby", &path(name), "--if-possible"]).status.code(), Some(0), "{name}");
    }
    let left: Vec<_> = walk(&dir).into_iter().filter(|path| path.is_file()).collect();
    assert_eq!(left, Vec::<PathBuf>::new(), "nothing is left of a failure");
}

#[test]
fn root_does_not_run_an_interpreter_of_another_user() {
    let test_dir = TestDir::new();
    let ran = test_dir.path("ran");
    let program = test_dir.path("ruby");
    fs::write(&program, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let run = || printed(&build(&test_dir.path("native"), &["--ruby", &program.display().to_string()]));

    chown(&program, Some(12345), None).unwrap();
    assert!(run().contains("it is not run as root, because of"), "{}", run());
    assert!(
        run().contains("it belongs to user 12345. Run this command as the user that owns it"),
        "{}",
        run()
    );
    chown(&program, Some(0), None).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o777)).unwrap();
    assert!(run().contains("other users can write to it"), "{}", run());
    assert!(!ran.exists());
}

#[test]
fn a_directory_that_others_can_write_to_is_not_written_to() {
    let test_dir = TestDir::new();
    let dir = test_dir.path("native");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
    let text = printed(&build(&dir, &["--ruby", "/usr/bin/ruby"]));
    assert!(text.contains("is not a directory that only this user can write to"), "{text}");
    assert_eq!(walk(&dir).len(), 0);
}

#[test]
fn a_build_ignores_the_umask_and_replaces_an_earlier_one() {
    let test_dir = TestDir::new();
    let dir = test_dir.path("native");
    for _ in 0..2 {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 077; exec \"$0\" build-native-support --dir \"$1\" --ruby ruby"]);
        let output = command.arg(binary("passenger-config")).arg(&dir).output().unwrap();
        assert!(output.status.success(), "{}", printed(&output));
    }
    let paths = walk(&dir);
    assert_eq!(paths.len(), 3, "{paths:?}");
    for path in paths {
        let expected = if path.is_dir() { 0o755 } else { 0o644 };
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, expected, "{}", path.display());
    }
}

/// Everything below a directory.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}
