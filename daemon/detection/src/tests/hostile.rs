//! Files that an application's owner may put into the way of nginx's worker.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::*;

/// The files that are read.
const READ: [&str; 9] = [
    "wsgi.py",
    "asgi.py",
    "app.py",
    "main.py",
    "manage.py",
    "Procfile",
    "package.json",
    "index.js",
    "Passengerfile.json",
];

/// Returns the result of `search`; fails when it does not return.
fn search_in_time(app: &App, what: &str) -> Result<Search, DetectError> {
    let (done, found) = channel();
    let dir = app.0.clone();
    std::thread::spawn(move || done.send(search(&dir)));
    found.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{what} blocks"))
}

#[test]
fn rejects_a_bad_passengerfile() {
    for text in ["{", "[]", "{\"app_start_command\": 1}"] {
        let app = App::with("bad", &[("Passengerfile.json", text)]);
        assert!(matches!(detect(&app.0), Err(DetectError::BadPassengerfile(..))), "{text}");
    }
    let app = App::with("huge", &[("Passengerfile.json", &" ".repeat(513 * 1024))]);
    assert!(matches!(detect(&app.0), Err(DetectError::Unreadable(..))));
}

#[test]
fn what_is_not_a_regular_file_is_refused_without_waiting() {
    for file in READ {
        let app = App::with("fifo", &[]);
        let path = app.0.join(file);
        let refused = |what: &str| {
            let found = search_in_time(&app, what);
            match file {
                "Passengerfile.json" => assert!(matches!(found, Err(DetectError::Unreadable(..))), "{what}"),
                // index.js is read only if it is a file.
                "index.js" => assert_eq!(found.unwrap().found, None, "{what}"),
                _ => {
                    let found = found.unwrap();
                    assert_eq!(found.found, None, "{file}: {what}");
                    assert!(found.rejected[0].starts_with(file), "{file}: {what}: {found:?}");
                }
            }
        };
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        refused("a FIFO without a writer");
        for device in ["/dev/ptmx", "/dev/zero", "/dev/null"] {
            fs::remove_file(&path).unwrap();
            symlink(device, &path).unwrap();
            refused(device);
        }
        fs::remove_file(&path).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        refused("a socket");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused("a directory");
        fs::remove_dir(&path).unwrap();
        symlink(&path, &path).unwrap();
        refused("a link to itself");
    }
}

#[test]
fn only_the_beginning_of_a_large_file_is_read() {
    let app = App::with("large", &[]);
    for file in READ.iter().filter(|file| **file != "Passengerfile.json") {
        File::create(app.0.join(file)).unwrap().set_len(1 << 30).unwrap();
    }
    let found = search_in_time(&app, "a file of 1 GB").unwrap();
    assert_eq!(found.found, None);
    assert!(found.rejected.iter().any(|each| each == "package.json is longer than 256 KiB"), "{found:?}");
}

#[test]
fn a_deeply_nested_or_strange_package_is_refused() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for text in [
        deep.as_str(),
        "",
        "[]",
        "1",
        r#"{"main": 1, "scripts": []}"#,
        r#"{"main": {"a": "b"}, "scripts": {"start": ["x"]}}"#,
        r#"{"scripts": {"start": "  "}}"#,
        r#"{"scripts": {"start": "a\nb"}}"#,
    ] {
        let app = App::with("package", &[("package.json", text)]);
        assert_eq!(search_in_time(&app, "it").unwrap().found, None, "{text:.60}");
    }
}

#[test]
fn no_file_outside_of_the_directory_is_started() {
    let other = App::with("other", &[("app.js", EXPRESS), ("server.js", EXPRESS)]);
    let up = format!("../{}/app.js", other.0.file_name().unwrap().to_str().unwrap());
    for package in [
        format!(r#"{{"main": "{up}"}}"#),
        format!(r#"{{"main": "{}/app.js"}}"#, other.0.display()),
        format!(r#"{{"scripts": {{"start": "node {up}"}}}}"#),
        format!(r#"{{"scripts": {{"start": "node {}/app.js"}}}}"#, other.0.display()),
    ] {
        let app = App::with("escape", &[("package.json", &package)]);
        assert_eq!(app.found(), None, "{package}");
    }
    let manage = "setdefault('DJANGO_SETTINGS_MODULE', '../other.settings')";
    assert_eq!(App::with("escape", &[("manage.py", manage)]).found(), None);
}

#[test]
fn an_unreadable_file_is_reported() {
    let app = App::with("closed", &[("app.py", FLASK), ("wsgi.py", "x = 1")]);
    fs::set_permissions(app.0.join("app.py"), Permissions::from_mode(0o0)).unwrap();
    let Ok(found) = search(&app.0) else { panic!("an error") };
    // Root reads everything.
    if found.found.is_none() {
        assert_eq!(found.rejected[1], "app.py cannot be read (Permission denied (os error 13))");
    }
}
