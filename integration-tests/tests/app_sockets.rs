//! The directory in which a generic app creates its socket: files there do no harm, and are removed with the process.

use std::fs;
use std::path::PathBuf;

use test_support::{OneApp, TestDir, eventually, skipped};

/// Listens at its socket. Fills the directory as HOSTILE says as soon as `/fill` is asked for.
const SERVER: &str = r#"
import os, socket
path = os.environ["SOCKET"]
place = os.path.dirname(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(16)

def fill():
    HOSTILE

while True:
    connection, _ = listener.accept()
    head = connection.recv(65536)
    if head.startswith(b"GET /fill"):
        fill()
    body = f"{os.getpid()} {place}".encode()
    if head:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    connection.close()
"#;

const LINES: &str = "passenger_app_start_command 'python3 server.py'; passenger_app_listen socket;";

/// Files in a deep directory that no user may enter, names that are not text, a symlink and a FIFO.
const TREE: &str = r#"
    os.symlink("/etc", f"{place}/link")
    os.mkfifo(f"{place}/fifo")
    open(place.encode() + b"/\xff\xfe", "w").close()
    os.mkdir(f"{place}/closed"); open(f"{place}/closed/file", "w").close(); os.chmod(f"{place}/closed", 0)
    os.chdir(place)
    for level in range(300):
        os.mkdir("d" * 100); os.chdir("d" * 100)
    open("bottom", "w").close()
"#;

const MANY: &str = r#"
    for number in range(20000):
        open(f"{place}/{number}", "w").close()
"#;

fn setup(hostile: &str) -> OneApp {
    let server = SERVER.replace("HOSTILE", hostile.trim());
    OneApp::app(LINES, |app| {
        let app = app.file("server.py", &server);
        if test_support::is_root() { app.owned_by("games") } else { app }
    })
}

fn place(setup: &OneApp, path: &str) -> PathBuf {
    let text = setup.nginx.get(path).expect(200).text();
    PathBuf::from(text.split_once(' ').expect("its PID and its directory").1)
}

fn registry(test_dir: &TestDir) -> Vec<PathBuf> {
    fs::read_dir(test_dir.path("registry")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn restart(setup: &OneApp) {
    let root = setup.app.dir().display().to_string();
    assert!(setup.daemon.tool("passenger-config", &["restart-app", &root]).status.success());
}

#[test]
fn files_beside_an_apps_socket_are_removed_with_its_process() {
    let setup = setup(TREE);
    let first = place(&setup, "/fill");
    restart(&setup);
    let second = place(&setup, "/");
    assert_ne!(second, first);
    eventually("all of the first process's is gone", || !first.exists());
    assert!(!setup.daemon.log().contains("cannot be removed"), "{}", setup.daemon.log());
}

#[test]
fn an_app_cannot_prevent_removal_of_the_instance_directory() {
    let mut setup = setup(TREE);
    let place = place(&setup, "/fill");
    setup.daemon.stop();
    assert_eq!(registry(&setup.test_dir), Vec::<PathBuf>::new());
    eventually("its own directory is gone, too", || !place.parent().unwrap().exists());
}

#[test]
fn the_instance_directory_is_not_writable_for_an_app() {
    let setup = setup("pass");
    let place = place(&setup, "/");
    let registry = setup.test_dir.path("registry");
    assert!(!place.starts_with(&registry), "{} is not for apps", place.display());
}

#[test]
fn many_files_of_one_app_do_not_delay_another() {
    let setup = setup(MANY);
    let first = place(&setup, "/fill");
    assert!(fs::read_dir(&first).unwrap().count() > 20_000);
    restart(&setup);
    place(&setup, "/");
    // Orders of the router are answered meanwhile: another process is started and ready.
    restart(&setup);
    place(&setup, "/");
    eventually("the files are gone", || !first.exists());
}

#[test]
fn another_user_cannot_replace_the_sockets_directory() {
    let setup = setup("pass");
    let first = place(&setup, "/");
    let top = first.parent().expect("the directory of all sockets").to_owned();
    restart(&setup);
    eventually("the first process's directory is gone", || !first.exists());
    assert!(top.is_dir(), "it stays between two processes");
    assert_eq!(place(&setup, "/").parent(), Some(top.as_path()));
    if !test_support::is_root() {
        return skipped("another_user_cannot_replace_the_sockets_directory", "only root gives files away");
    }
    // As a program that cleans up and another user do.
    fs::remove_dir_all(&top).unwrap();
    fs::create_dir(&top).unwrap();
    std::os::unix::fs::chown(&top, Some(12345), Some(12345)).unwrap();
    restart(&setup);
    let after = place(&setup, "/");
    assert!(after.starts_with(setup.test_dir.path("registry")), "{}", after.display());
    setup.daemon.logs_eventually("another user has created it");
    fs::remove_dir(&top).unwrap();
}

#[test]
fn a_link_in_place_of_an_apps_socket_is_not_followed() {
    if !test_support::is_root() {
        return test_support::skipped("a link in the place of an app's socket", "only root can switch users");
    }
    let setup = setup("os.unlink(path); os.symlink(open('target').read(), path)");
    let admin = registry(&setup.test_dir)[0].join("admin.sock");
    setup.app.write("target", admin.display().to_string());
    place(&setup, "/fill");
    let response = setup.nginx.get("/pool.json");
    assert!(!response.text().contains("process"), "the router has asked itself: {}", response.text());
    assert!(response.status() >= 500 || response.text().contains("/tmp/passenger."), "{}", response.text());
    setup.daemon.logs_eventually("not to the app's user games");
}
