//! What a process is given, what is refused, and how its end is reported.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use common::link::{Address, SpawnSpec, StopHow};
use protocol::request::AppKind;

use crate::daemon::{
    Daemon, eventually, generic, is_alive, spec, status, until_gone, until_runs, with_loader,
};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("a_generic_app_is_its_command_not_a_shell", a_generic_app_is_its_command_not_a_shell),
    test("a_generic_app_has_three_descriptors", a_generic_app_has_three_descriptors),
    test("a_loader_has_five_descriptors", a_loader_has_five_descriptors),
    test("a_loader_listens_on_the_socket_that_the_router_is_told", a_loader_listens),
    test("a_process_leads_a_session_and_blocks_no_signal", a_process_leads_a_session),
    test("output_reaches_the_router", output_reaches_the_router),
    test("end_of_file_on_the_owner_pipe_ends_a_loader", end_of_file_ends_a_loader),
    test("a_killed_process_takes_its_group_with_it", a_killed_process_takes_its_group_with_it),
    test("what_an_app_leaves_behind_is_reaped", what_an_app_leaves_behind_is_reaped),
    test("a_compound_command_is_ended_as_a_group", a_compound_command_is_ended_as_a_group),
    test("the_death_of_a_process_is_reported_immediately", the_death_of_a_process_is_reported_immediately),
    test("refusals_say_why", refusals_say_why),
    test("failures_before_exec_are_reported", failures_before_exec_are_reported),
];

fn a_generic_app_is_its_command_not_a_shell() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let (record, report) = daemon.spawn_reported(generic(&root, "sleep 1000"));
    assert_eq!(report, "", "the end of the report alone says that it was started");
    until_runs(record.pid, "sleep");
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", record.pid)).unwrap(), root);
    assert!(matches!(record.address, Address::Tcp(5000..)));
    assert_eq!(record.handover_data, b"data");
    daemon.stop(record.process, StopHow::Gracefully);
    assert_eq!(daemon.exited(record.process), "was killed by signal 15 (SIGTERM)");
}

fn a_generic_app_has_three_descriptors() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let (record, _) = daemon.spawn_reported(generic(&root, "sleep 1000"));
    until_runs(record.pid, "sleep");
    assert_descriptors(record.pid, &["0:pipe", "1:pipe", "2:pipe"]);
}

fn a_loader_has_five_descriptors() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let spec = with_loader(&daemon, &root, "echo up; exec sleep 1000");
    let record = daemon.spawn(spec);
    assert_eq!(daemon.output(record.process), "up");
    until_runs(record.pid, "sleep");
    assert_descriptors(record.pid, &["0:pipe", "1:pipe", "2:pipe", "3:socket", "4:pipe"]);
}

/// Waits until the program is loaded: before that, it opens its libraries.
fn assert_descriptors(pid: i32, expected: &[&str]) {
    eventually(&format!("{expected:?}"), || (descriptors(pid)? == expected).then_some(()));
}

fn descriptors(pid: i32) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()? {
        let entry = entry.ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        let kind = target.to_str()?.split(':').next()?.to_owned();
        found.push(format!("{}:{kind}", entry.file_name().to_str()?));
    }
    found.sort();
    Some(found)
}

fn a_loader_listens() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let script = "exec python3 -c 'import socket, os
s = socket.socket(fileno=3)
os.write(4, b\"ready\\n\")
os.close(4)
c, _ = s.accept()
c.sendall(os.environ[\"FLYING_PASSENGER_STARTUP_FILE\"].encode())
c.close()'";
    let spec = with_loader(&daemon, &root, script);
    let (record, report) = daemon.spawn_reported(spec);
    assert_eq!(report, "ready\n");
    let Address::Unix(socket) = &record.address else { panic!("{:?}", record.address) };
    let apps = fs::metadata(socket.parent().unwrap()).unwrap().permissions();
    let expected = if nix::unistd::geteuid().is_root() { 0o710 } else { 0o700 };
    assert_eq!(apps.mode() & 0o777, expected, "only the router gets at the sockets");

    let mut text = String::new();
    UnixStream::connect(socket).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, root.join("config.ru").to_str().unwrap());
    assert_eq!(daemon.exited(record.process), "exited with status 0");
    assert!(!socket.exists());
}

fn a_process_leads_a_session() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let (record, _) = daemon.spawn_reported(generic(&root, "sleep 1000"));
    let pid = record.pid.to_string();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<&str> = stat.split_whitespace().collect();
    assert_eq!(words[4..6], [pid.as_str(), pid.as_str()], "process group and session");
    // All but the two signals that the C library reserves, 32 and 33.
    let settable: u64 = !(0b11 << 31);
    for set in ["SigBlk", "SigIgn"] {
        let signals = u64::from_str_radix(&status(record.pid, set)[0], 16).unwrap();
        assert_eq!(signals & settable, 0, "{set}");
    }
}

fn output_reaches_the_router() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let record = daemon.spawn(generic(&root, "echo out; echo err >&2; exec sleep 1000"));
    assert_eq!(daemon.output(record.process), "out");
    assert_eq!(daemon.output(record.process), "err");
}

fn end_of_file_ends_a_loader() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let spec = with_loader(&daemon, &root, "echo up; read x; echo finished; exit 7");
    let record = daemon.spawn(spec);
    assert_eq!(daemon.output(record.process), "up");
    daemon.stop(record.process, StopHow::Gracefully);
    assert_eq!(daemon.output(record.process), "finished");
    assert_eq!(daemon.exited(record.process), "exited with status 7");
}

fn a_killed_process_takes_its_group_with_it() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let record = daemon.spawn(generic(&root, "sleep 1000 & echo $!; sleep 1000"));
    let grandchild: i32 = daemon.output(record.process).parse().unwrap();
    daemon.stop(record.process, StopHow::Kill);
    assert_eq!(daemon.exited(record.process), "was killed by signal 9 (SIGKILL)");
    until_gone(grandchild);
}

fn what_an_app_leaves_behind_is_reaped() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let record = daemon.spawn(generic(&root, "(sh -c 'echo $$; exec sleep 0.01' &); exec sleep 1000"));
    let orphan: i32 = daemon.output(record.process).parse().unwrap();
    let status = format!("/proc/{orphan}/status");
    eventually("its end, with nothing left of it", || {
        (!std::path::Path::new(&status).exists()).then_some(())
    });
    assert!(is_alive(record.pid));
}

fn a_compound_command_is_ended_as_a_group() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let record = daemon.spawn(generic(&root, "cd . && sh -c 'echo $$; exec sleep 1000'"));
    let grandchild: i32 = daemon.output(record.process).parse().unwrap();
    daemon.stop(record.process, StopHow::Gracefully);
    daemon.exited(record.process);
    until_gone(grandchild);
}

fn the_death_of_a_process_is_reported_immediately() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let (record, _) = daemon.spawn_reported(generic(&root, "sleep 1000"));
    let killed = std::time::Instant::now();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(record.pid), nix::sys::signal::SIGSEGV).unwrap();
    let how = daemon.exited(record.process);
    assert!(how.starts_with("was killed by signal 11 (SIGSEGV)"), "{how}");
    assert!(killed.elapsed() < std::time::Duration::from_secs(2));
    assert!(!is_alive(record.pid));
}

fn refusals_say_why() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let mut refusal = |spec: SpawnSpec| daemon.try_spawn(spec).unwrap_err();
    let missing = root.join("config.ru");
    let table = [
        (spec(AppKind::Ruby, &root), format!("the startup file {} does not exist", missing.display())),
        (spec(AppKind::Ruby, "/no/such".as_ref()), "the app root /no/such does not exist".to_owned()),
        (
            generic("relative".as_ref(), "true"),
            "the app root \"relative\" is not an absolute path".to_owned(),
        ),
        (generic(&root, " "), "no command to start the app is configured".to_owned()),
    ];
    for (spec, expected) in table {
        assert_eq!(refusal(spec), expected);
    }
}

fn failures_before_exec_are_reported() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let mut program = fs::File::create(root.join("config.ru")).unwrap();
    program.write_all(b"no program").unwrap();
    let mut wanted = spec(AppKind::Ruby, &root);
    wanted.interpreter = "no-such-ruby".into();
    wanted.settings.env_var = vec![("PATH".into(), "/bin:/usr/bin".into())];
    let (record, report) = daemon.spawn_reported(wanted.clone());
    assert_eq!(
        report,
        "error cannot run \"no-such-ruby\": found in none of the directories of PATH (/bin:/usr/bin)\n"
    );
    assert_eq!(daemon.exited(record.process), "exited with status 1");

    wanted.interpreter = root.join("config.ru").to_str().unwrap().into();
    let (_, report) = daemon.spawn_reported(wanted.clone());
    assert_eq!(report, format!("error cannot run \"{}\": Permission denied\n", wanted.interpreter));
}
