//! Preloaders that send false data, garbage or nothing: refused with one line and killed; no other process is affected.

use std::fs;

use common::link::{Order, ProcessRecord, SpawnSpec};
use protocol::request::AppKind;

use crate::daemon::{Daemon, is_alive, spec};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("an_honest_preloader_of_a_few_lines_is_enough", an_honest_preloader),
    test("a_preloader_cannot_pass_for_its_process", a_preloader_cannot_pass_for_its_process),
    test("a_process_that_is_not_ours_is_refused", a_process_that_is_not_ours_is_refused),
    test("a_process_cannot_be_forked_twice", a_process_cannot_be_forked_twice),
    test("a_hello_is_a_hello_and_no_more", a_hello_is_a_hello_and_no_more),
    test("a_preloader_that_does_not_fork_is_killed", a_preloader_that_does_not_fork_is_killed),
    test("the_early_end_of_a_preloader_is_reported", the_early_end_of_a_preloader_is_reported),
    test("a_preloader_cannot_answer", a_preloader_cannot_answer),
];

/// A preloader in Python; `act(order)` defines what it does with an order's descriptors.
const PRELOADER: &str = "
import array, os, socket, sys, time
control = socket.socket(fileno=3)
control.setblocking(True)
def order():
    text, controls, _, _ = control.recvmsg(16, 1024)
    descriptors = array.array('i')
    for _, _, data in controls:
        descriptors.frombytes(data)
    assert text == b'fork' and len(descriptors) == 5, (text, descriptors)
    return list(descriptors)
def hello(order, text=b'hello', *ancillary):
    socket.socket(fileno=os.dup(order[4])).sendmsg([text], *ancillary)
def orphan():
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return False
    middle = os.getpid()
    if os.fork():
        os._exit(0)
    os.setsid()
    while os.getppid() == middle:
        time.sleep(0.001)
    return True
def sleep():
    # Until its owner has ended, which may be the case already: no test leaves a process behind.
    parent = os.getppid()
    while os.getppid() == parent != 1:
        time.sleep(0.02)
    os._exit(0)
def forget(order):
    for descriptor in order:
        os.close(descriptor)
";
const LOOP: &str = "
os.write(4, b'ready\\n')
os.close(4)
while True:
    taken = order()
    act(taken)
    forget(taken)
";

fn preloader(daemon: &mut Daemon, act: &str) -> ProcessRecord {
    let root = daemon.app("app");
    let loaders = daemon.dir().join("ruby");
    fs::create_dir_all(&loaders).unwrap();
    fs::write(loaders.join("preloader.rb"), format!("{PRELOADER}{act}{LOOP}")).unwrap();
    fs::write(root.join("config.ru"), "").unwrap();
    let spec = SpawnSpec { interpreter: "python3".into(), preloader: true, ..spec(AppKind::Ruby, &root) };
    let (record, report) = daemon.spawn_reported(spec);
    assert_eq!(report, "ready\n");
    daemon.order(Order::MarkReady {
        process: record.process,
        max_concurrent: None,
        revision: None,
        native: None,
    });
    record
}

/// Asserts that the order fails with `reason` and that the preloader is killed.
fn assert_refused(act: &str, within_ms: u64, reason: &str) {
    let mut daemon = Daemon::start();
    let preloader = preloader(&mut daemon, act);
    let refused = daemon.try_fork(preloader.process, within_ms).unwrap_err();
    assert!(refused.ends_with(reason), "{refused}");
    assert_eq!(daemon.exited(preloader.process), "was killed by signal 9 (SIGKILL)");
    daemon.logs("is killed");
    let lines = daemon.log().lines().filter(|line| line.contains("is killed")).count();
    assert_eq!(lines, 1, "{}", daemon.log());
}

const LONG: u64 = 20_000;

fn an_honest_preloader() {
    let mut daemon = Daemon::start();
    let preloader = preloader(&mut daemon, "def act(order): orphan() and (hello(order), sleep())");
    let records = [(); 3].map(|()| daemon.try_fork(preloader.process, LONG).unwrap());
    assert!(records.iter().all(|record| is_alive(record.pid)));
}

fn a_preloader_cannot_pass_for_its_process() {
    let act = "def act(order): hello(order), sleep()";
    assert_refused(act, LONG, "is another process of the daemon's");
}

fn a_process_that_is_not_ours_is_refused() {
    let act = "def act(order): os.fork() or (hello(order), sleep())";
    assert_refused(act, LONG, "is not a child of the daemon");
}

fn a_process_cannot_be_forked_twice() {
    // The first process receives the second one's hello socket, and sends that hello too.
    let act = "
first, pair = True, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
def act(order):
    global first
    if not first:
        rights = array.array('i', [order[4]])
        pair[1].sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    elif orphan():
        hello(order)
        _, controls, _, _ = pair[0].recvmsg(16, 1024)
        socket.socket(fileno=array.array('i', controls[0][2])[0]).send(b'hello')
        sleep()
    first = False
";
    let mut daemon = Daemon::start();
    let preloader = preloader(&mut daemon, act);
    let record = daemon.try_fork(preloader.process, LONG).unwrap();
    let refused = daemon.try_fork(preloader.process, LONG).unwrap_err();
    assert!(refused.ends_with("is another process of the daemon's"), "{refused}");
    daemon.exited(preloader.process);
    assert!(is_alive(record.pid));
}

fn a_hello_is_a_hello_and_no_more() {
    let extra = "(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0, 1, 2]))";
    for sent in ["b'hallo'", "b'hello' * 10000", &format!("b'hello', [{extra}]")] {
        let act = format!("def act(order): orphan() and (hello(order, {sent}), sleep())");
        assert_refused(&act, LONG, "sent an invalid hello");
    }
}

fn a_preloader_that_does_not_fork_is_killed() {
    assert_refused("def act(order): sleep()", 1000, "did not fork in time");
}

fn the_early_end_of_a_preloader_is_reported() {
    let mut daemon = Daemon::start();
    let preloader = preloader(&mut daemon, "def act(order): os._exit(3)");
    let refused = daemon.try_fork(preloader.process, LONG).unwrap_err();
    assert_eq!(refused, "its preloader ended before it forked, or could not fork");
    assert_eq!(daemon.exited(preloader.process), "exited with status 3");
}

fn a_preloader_cannot_answer() {
    let act = "
def act(order):
    for sent in (b'x', b'x' * 1000):
        try:
            control.send(sent)
            print('taken', flush=True)
        except BrokenPipeError:
            print('refused', flush=True)
    orphan() and (hello(order), sleep())
";
    let mut daemon = Daemon::start();
    let preloader = preloader(&mut daemon, act);
    daemon.try_fork(preloader.process, LONG).unwrap();
    assert_eq!(daemon.output(preloader.process), "refused");
    assert_eq!(daemon.output(preloader.process), "refused");
}
