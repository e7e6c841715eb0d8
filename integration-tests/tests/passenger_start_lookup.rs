//! `passenger stop`, `passenger status`, ports that are used, several apps, and the version.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use test_support::{
    StartedApp, TestDir, binary, eventually, is_root, owner_uid, passenger, passenger_output, skipped,
};

use crate::passenger_start::{of_ordinary_user, versioned};

#[test]
fn another_terminal_shows_and_stops_an_app() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let directory = app.dir().to_str().unwrap();
    let (status, shown) = passenger_output(&test_dir, app.dir(), &["status"]);
    assert_eq!((status, shown), (Some(1), format!("passenger: no app runs in {directory}\n")));

    let mut started = StartedApp::start(&test_dir, app.dir(), &[]);
    let expected = format!(
        "{directory}: http://127.0.0.1:{}/, development, PID {}, for ",
        started.port(),
        started.pid()
    );
    for arguments in [&["status"][..], &["status", directory], &["status", "--all"]] {
        let (status, shown) = passenger_output(&test_dir, app.dir(), arguments);
        assert!(status == Some(0) && shown.starts_with(&expected), "{arguments:?}: {shown}");
    }
    // The same directory by another name.
    let link = test_dir.path("link");
    std::os::unix::fs::symlink(app.dir(), &link).unwrap();
    let (status, shown) = passenger_output(&test_dir, test_dir.dir(), &["stop", link.to_str().unwrap()]);
    assert_eq!((status, shown), (Some(0), format!("Stopped {directory}\n")));
    assert_eq!(started.wait().code(), Some(0));
    let (status, shown) = passenger_output(&test_dir, app.dir(), &["stop"]);
    assert_eq!((status, shown), (Some(1), format!("passenger: no app runs in {directory}\n")));
}

#[test]
fn a_second_start_in_the_same_directory_names_the_first() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    for mode in [&["start", "--port=0"][..], &["start", "--port=0", "-d"]] {
        let (status, shown) = passenger_output(&test_dir, app.dir(), mode);
        let expected = format!(
            "already runs at http://127.0.0.1:{}/, started by PID {}; stop it with: passenger stop ",
            started.port(),
            started.pid()
        );
        assert!(status == Some(1) && shown.contains(&expected), "{shown}");
    }
    assert_eq!(started.get("/").expect(200).text(), "version 1");
}

#[test]
fn two_apps_run_on_two_ports_and_are_stopped_by_port() {
    let test_dir = TestDir::new();
    let one = versioned(&test_dir);
    let other = of_ordinary_user(test_dir.app("blog").ruby("run ->(_) { [200, {}, ['blog']] }"));
    let mut first = StartedApp::start(&test_dir, one.dir(), &[]);
    let second = StartedApp::start(&test_dir, other.dir(), &[]);
    assert_ne!(first.port(), second.port());
    assert_eq!(first.get("/").text() + &second.get("/").text(), "version 1blog");
    let (_, shown) = passenger_output(&test_dir, test_dir.dir(), &["status"]);
    assert!(shown.contains("; running apps:\n") && shown.lines().count() == 3, "{shown}");

    let port = first.port().to_string();
    let (status, shown) = passenger_output(&test_dir, test_dir.dir(), &["stop", "--port", &port]);
    assert_eq!(status, Some(0), "{shown}");
    first.wait();
    assert_eq!(second.get("/").expect(200).text(), "blog");
    let (status, shown) = passenger_output(&test_dir, test_dir.dir(), &["stop", "-p", &port]);
    assert!(
        status == Some(1) && shown.contains(&format!("no app runs on port {port}; running apps:")),
        "{shown}"
    );
}

#[test]
fn a_used_port_is_an_error_that_names_its_user() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let other = of_ordinary_user(test_dir.app("blog").ruby("run ->(_) { [200, {}, []] }"));
    let started = StartedApp::start(&test_dir, other.dir(), &[]);
    let port = started.port();
    let (status, shown) = passenger_output(&test_dir, app.dir(), &["start", "-p", &port.to_string()]);
    let begin = format!("passenger: port {port} of 127.0.0.1 is used by flying-passenger-gate (PID ");
    assert!(status == Some(1) && shown.starts_with(&begin), "{shown}");
    assert!(shown.contains("; specify another port, such as --port "), "{shown}");

    // A process of another user cannot be named.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (status, shown) = passenger_output(&test_dir, app.dir(), &["start", "-p", &port.to_string()]);
    assert!(status == Some(1) && shown.contains(&format!("port {port} of 127.0.0.1 is used by ")), "{shown}");
}

#[test]
fn the_address_is_that_of_this_machine_only() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let listening = |started: &StartedApp| {
        let port = format!(":{:04X}", started.port());
        let all = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap());
        let lines = all.iter().flat_map(|text| text.lines());
        let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mine = words.filter(|words| words[1].ends_with(&port) && words[3] == "0A");
        mine.map(|words| words[1].to_owned()).collect::<Vec<_>>()
    };
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    assert_eq!(listening(&started), [format!("0100007F:{:04X}", started.port())]);
    drop(started);
    let started = StartedApp::start(&test_dir, app.dir(), &["--address", "0.0.0.0"]);
    assert_eq!(listening(&started), [format!("00000000:{:04X}", started.port())]);
    assert!(started.shown().contains("other machines can connect"), "{}", started.shown());
}

#[test]
fn the_other_tools_find_the_daemon() {
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    started.get("/").expect(200);
    let mut status = Command::new(binary("passenger-status"));
    status.env("PASSENGER_INSTANCE_REGISTRY_DIR", test_dir.path("registry"));
    let output = status.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains(&format!("{} (development)", app.dir().display())), "{shown}");
}

#[test]
fn as_root_everything_runs_as_the_owner_of_the_directory() {
    if !is_root() {
        return skipped("as_root_everything_runs_as_the_owner_of_the_directory", "needs root");
    }
    let test_dir = TestDir::new();
    let app = versioned(&test_dir);
    // The registry is that of the user, to whom the command changes.
    let mut command = passenger(&test_dir, app.dir(), &["start", "--port=0"]);
    command.uid(0).gid(0);
    use std::os::unix::process::CommandExt;
    let started = StartedApp::of(&mut command);
    assert_eq!(started.get("/").expect(200).text(), "version 1");
    let games = owner_uid(started.pid());
    assert_ne!(games, 0);
    assert!(started.processes().into_iter().all(|pid| owner_uid(pid) == games));
    drop(started);

    let of_root = test_dir.app("of-root").python("application = None");
    let mut refused = passenger(&test_dir, of_root.dir(), &["start", "--port=0"]);
    let output = refused.uid(0).gid(0).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(
        shown.contains("belongs to root; nothing runs as root here: specify a user with --user"),
        "{shown}"
    );
    let mut command = passenger(&test_dir, app.dir(), &["start", "--port=0", "--user", "games"]);
    let started = StartedApp::of(command.uid(0).gid(0));
    started.get("/").expect(200);
    let (_, shown) = passenger_output(&test_dir, app.dir(), &["start", "--user=games"]);
    assert!(shown.contains("--user requires root"), "{shown}");
}

#[test]
fn the_version_is_as_deployment_tools_expect_it() {
    // capistrano-passenger: /^Phusion Passenger(\(R\))? (Enterprise )?(version )?(.*)$/, whose last group is a Gem::Version.
    let program = "line = `#{ARGV[0]} #{ARGV[1]}`\n\
                   found = line.match(/^Phusion Passenger(\\(R\\))? (Enterprise )?(version )?(.*)$/)[4]\n\
                   exit Gem::Version.new(found) >= Gem::Version.new('4.0.33') && found.start_with?('6.0.')";
    for flag in ["-v", "--version"] {
        let passenger = binary("passenger");
        let status = Command::new("ruby").args(["-e", program]).arg(&passenger).arg(flag).status().unwrap();
        assert!(status.success(), "{flag}");
        let output = Command::new(passenger).arg(flag).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        let second = shown.lines().nth(1).unwrap_or_default();
        assert!(second.starts_with(&format!("flying-passenger {}", env!("CARGO_PKG_VERSION"))), "{shown}");
    }
}

#[test]
fn help_lists_the_commands() {
    let output = Command::new(binary("passenger")).arg("help").output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    for command in ["start", "stop", "status"] {
        assert!(shown.contains(&format!("\n  {command} ")), "{shown}");
    }
    let other = Command::new(binary("passenger")).args(["frobnicate"]).current_dir(Path::new("/")).output();
    assert_eq!(other.unwrap().status.code(), Some(1));
}

#[test]
fn a_file_that_the_app_writes_does_not_restart_it_forever() {
    let test_dir = TestDir::new();
    let source = "require('fs').writeFileSync('visits.json', String(Date.now()));\n\
                  require('http').createServer((_, response) => response.end('ok')).listen(3000);";
    let app = of_ordinary_user(test_dir.app("shop").node(source));
    let started = StartedApp::start(&test_dir, app.dir(), &[]);
    eventually("the file is ignored", || {
        started.shown().contains("so the app seems to write it; it is ignored")
    });
    assert_eq!(started.get("/").expect(200).text(), "ok");
}
