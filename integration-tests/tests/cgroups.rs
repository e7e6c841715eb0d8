//! Control groups: all processes of an app are in one group, and end together.

use std::fs;
use std::path::{Path, PathBuf};

use test_support::{DaemonBuilder, OneApp, TestDir, eventually, is_alive, is_root, kill_9, skipped};

use crate::systemd::{Machine, can_boot};

/// A control group for one daemon, removed at the end.
struct Delegated(PathBuf);

impl Delegated {
    /// `None` where the test cannot have one; it says why.
    fn for_test(test: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let v2 =
            mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
        let made = v2.filter(|_| is_root()).map(|top| Path::new(top).join(format!("fp-test-{test}")));
        let made = made.filter(|path| path.is_dir() || fs::create_dir(path).is_ok());
        if made.is_none() {
            skipped(test, "it takes root and control groups of version 2 that it may write to");
        }
        made.map(Self)
    }

    /// Groups of processes that are there.
    fn groups(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().filter_map(Result::ok);
        let names = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name());
        names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("app-")).collect()
    }

    fn has(&self, controller: &str) -> bool {
        let there = fs::read_to_string(self.0.join("cgroup.controllers")).unwrap();
        there.split_whitespace().any(|name| name == controller)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let removed = fs::remove_dir(&self.0);
        assert!(
            removed.is_ok() || std::thread::panicking(),
            "the daemon leaves its group as it was: {removed:?}"
        );
    }
}

/// The group that a process is in.
fn group_of(pid: u32) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
}

/// What the daemon hands on to the groups of processes.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// Starts a process that outlives it, and reports both PIDs.
const PARENT: &str = "run ->(env) {
  child = spawn('setsid', 'sleep', '600', in: '/dev/null', out: '/dev/null', err: '/dev/null')
  [200, {}, [\"#{Process.pid} #{child}\"]]
}";

fn setup(lines: &str, flags: impl FnOnce(DaemonBuilder) -> DaemonBuilder) -> OneApp {
    OneApp::custom(lines, flags, |app| app.ruby(PARENT))
}

fn pids(setup: &OneApp) -> (u32, u32) {
    let text = setup.nginx.get("/").expect(200).text();
    let (pid, child) = text.split_once(' ').unwrap();
    (pid.parse().unwrap(), child.parse().unwrap())
}

#[test]
fn children_of_an_app_end_with_its_process() {
    let Some(delegated) = Delegated::for_test("children_of_an_app_end_with_its_process") else {
        return;
    };
    for method in ["direct", "smart"] {
        let lines = format!("passenger_spawn_method {method};");
        let setup = setup(&lines, |daemon| daemon.in_cgroup(&delegated.0).flag("--cgroups"));
        let (pid, child) = pids(&setup);
        let own = group_of(pid);
        assert!(own.rsplit('/').next().unwrap().starts_with("app-app-"), "{own}");
        assert_eq!(group_of(child), own, "{method}");
        assert!(group_of(setup.daemon.router()).ends_with("/daemon"));
        kill_9(pid);
        eventually("its child processes have ended, too", || !is_alive(child));
        let (next, child) = pids(&setup);
        assert_ne!(group_of(next), own, "{method}");
        let root = setup.app.dir().display().to_string();
        setup.daemon.tool("passenger-config", &["restart-app", &root]);
        eventually("the replaced one and its child have ended", || !is_alive(next) && !is_alive(child));
        eventually("its group is gone", || {
            !delegated.groups().iter().any(|group| own.ends_with(group.as_str()))
        });
    }
    assert_eq!(delegated.groups(), Vec::<String>::new());
}

#[test]
fn limits_are_enforced_or_the_log_reports_it() {
    let Some(delegated) = Delegated::for_test("limits_are_enforced_or_the_log_reports_it") else {
        return;
    };
    let lines = "passenger_cgroup_memory_max 256; passenger_cgroup_tasks_max 200;";
    let glutton = "run ->(env) {
      @held = 'x' * (512 << 20) if env['PATH_INFO'] == '/eat'
      [200, {}, [Process.pid.to_s]]
    }";
    let flags = |daemon: DaemonBuilder| daemon.in_cgroup(&delegated.0).flag("--cgroups");
    let setup = OneApp::custom(lines, flags, |app| app.ruby(glutton));
    let pid: u32 = setup.nginx.get("/").expect(200).text().parse().unwrap();
    let group = delegated.0.join(group_of(pid).rsplit('/').next().unwrap());
    if delegated.has("pids") {
        assert_eq!(fs::read_to_string(group.join("pids.max")).unwrap().trim(), "200");
    } else {
        setup.daemon.logs_eventually("the controller \"pids\" is not available, its limits are not enforced");
    }
    if delegated.has("memory") {
        assert_eq!(setup.nginx.get("/eat").status(), 502);
        setup.daemon.logs_eventually("it exceeded its passenger_cgroup_memory_max");
        setup.nginx.get("/").expect(200);
    } else {
        skipped("limits_are_enforced_or_the_log_reports_it", "this kernel's version 2 has no \"memory\"");
        setup.daemon.logs_eventually("the limit memory.max = 268435456 is not enforced");
    }
}

#[test]
fn an_upgraded_daemon_keeps_the_control_groups() {
    let Some(delegated) = Delegated::for_test("an_upgraded_daemon_keeps_the_control_groups") else { return };
    let flags = |daemon: DaemonBuilder| daemon.in_cgroup(&delegated.0).flag("--cgroups");
    let setup = OneApp::custom("", flags, |app| app.ruby(PARENT));
    let pids = || {
        let reported = setup.nginx.get("/").expect(200).text();
        let pids: Vec<u32> = reported.split(' ').map(|pid| pid.parse().unwrap()).collect();
        (pids[0], pids[1])
    };
    let (app, child) = pids();
    let group = group_of(app).rsplit('/').next().unwrap().to_owned();
    setup.daemon.signal(nix::sys::signal::Signal::SIGUSR2);
    setup.daemon.logs_eventually("takes over from");
    assert_eq!(pids().0, app);
    kill_9(app);
    eventually("its child processes end with it", || !is_alive(child));
    assert_ne!(pids().0, app);
    eventually("its group is gone", || !delegated.groups().contains(&group));
}

#[test]
fn control_groups_of_a_killed_daemon_do_no_harm() {
    const NAME: &str = "control_groups_of_a_killed_daemon_do_no_harm";
    let Some(delegated) = Delegated::for_test(NAME) else { return };
    if CONTROLLERS.iter().any(|controller| delegated.has(controller)) {
        return skipped(
            NAME,
            "a group whose controllers were handed on takes no process, so nothing starts in it",
        );
    }
    let flags = |daemon: DaemonBuilder| daemon.in_cgroup(&delegated.0).flag("--cgroups");
    let mut setup = OneApp::custom("passenger_spawn_method direct;", flags, |app| app.ruby(PARENT));
    let pids = |setup: &OneApp| {
        let reported = setup.nginx.get("/").expect(200).text();
        reported.split(' ').map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()
    };
    let before = pids(&setup);
    let group = delegated.groups();
    setup.daemon.kill();
    eventually("the app ends with its daemon", || !is_alive(before[0]));
    assert_eq!(delegated.groups(), group, "it was not removed");
    setup.daemon.start_again();
    assert_ne!(pids(&setup)[0], before[0], "a process of the same number has a group of that name");
    eventually("the processes that the previous one left have ended", || !is_alive(before[1]));
}

#[test]
fn a_control_group_with_other_processes_is_refused() {
    let Some(delegated) = Delegated::for_test("a_group_that_others_are_in_keeps_it_from_starting") else {
        return;
    };
    let mut other = std::process::Command::new("sh")
        .args(["-c", "echo $$ > \"$0/cgroup.procs\"; exec sleep 600"])
        .arg(&delegated.0)
        .spawn()
        .unwrap();
    let procs = delegated.0.join("cgroup.procs");
    eventually("the other is in", || fs::read_to_string(&procs).is_ok_and(|pids| !pids.is_empty()));
    let output = TestDir::new().daemon().in_cgroup(&delegated.0).flag("--cgroups").output();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        reported.contains("the daemon cannot start: other processes are in its control group"),
        "{reported}"
    );
}

#[test]
fn without_control_groups_limits_are_reported_as_ineffective() {
    let setup = setup("passenger_cgroup_tasks_max 9; passenger_spawn_method direct;", |daemon| daemon);
    let (_, child) = pids(&setup);
    setup.daemon.logs_eventually(
        "passenger_cgroup_* limits are not enforced: the daemon was started without --cgroups",
    );
    kill_9(child);
}

#[test]
fn the_packaged_unit_delegates_a_group() {
    if !can_boot("the_packaged_unit_delegates_a_group") {
        return;
    }
    let machine = Machine::with_site();
    machine.sh("sed -i 's/^#cgroups = true/cgroups = true/' /etc/flying-passenger/flying-passenger.toml
        systemctl restart flying-passenger");
    let (pid, _) = machine.answer();
    let group = machine.sh(&format!("sed -n s/^0:://p /proc/{pid}/cgroup"));
    assert!(group.contains("/flying-passenger.service/app-shop-"), "{group}");
    machine.sh("systemctl restart flying-passenger");
    let (next, _) = machine.answer();
    assert_ne!(next, pid);
    assert_eq!(machine.sh(&format!("cat /sys/fs/cgroup{group}/cgroup.procs")), next.to_string());
    machine.sh("systemctl stop flying-passenger.socket flying-passenger.service");
    assert_eq!(machine.sh("systemctl show -P Result flying-passenger"), "success");
}
