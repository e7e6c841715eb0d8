//! A router that decides nothing: it turns JSON lines from the test into orders, and notices into JSON lines.
//!
//! The test connects to the socket that is otherwise nginx's. What was received before is sent then.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;

use common::link::channel::{Buffer, Channel};
use common::link::{Notice, Order, ProcessId};

use common::sys::descriptors;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

/// A report to the test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reported {
    /// A notice, and the number of descriptors received with it.
    Notice(Box<Notice>, usize),
    /// A process is ready, or its report pipe is at its end; this is its content.
    Report(ProcessId, String),
    /// A process printed a line.
    Output(ProcessId, String),
}

/// A request of the test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Send this order.
    Order(Box<Order>),
    /// Send this order that many times.
    Flood(Box<Order>, u32),
    /// Write these bytes to the log.
    Print(Vec<u8>),
    /// Leave three processes behind that write that many megabytes each to the log, and exit.
    LeaveWriters(u32),
    /// Send bytes that are not an order.
    Nonsense,
    /// Stop reading.
    Sleep,
    /// Exit with this status.
    Exit(i32),
}

#[derive(Clone, Default)]
struct ToTest(Arc<Mutex<(Vec<String>, Option<UnixStream>)>>);

impl ToTest {
    fn report(&self, report: &Reported) {
        let line = serde_json::to_string(report).expect("it is plain data") + "\n";
        let mut inside = self.0.lock().expect("no teller panics");
        match &mut inside.1 {
            // The test may have ended; this process will end too.
            Some(stream) => drop(stream.write_all(line.as_bytes())),
            None => inside.0.push(line),
        }
    }

    fn connected(&self, mut stream: UnixStream) {
        let mut inside = self.0.lock().expect("no teller panics");
        for line in inside.0.drain(..) {
            stream.write_all(line.as_bytes()).expect("the test reads");
        }
        inside.1 = Some(stream);
    }
}

pub(crate) fn main() -> ExitCode {
    let link = Channel::new(descriptors::take_link().expect("the link is there")).expect("it is a socket");
    supervisor::close_to_others().expect("prctl works");
    let link = Arc::new(link);
    let to_test = ToTest::default();
    let mut buffer = Buffer::default();
    loop {
        wait_readable(&link);
        let Some((notice, mut descriptors)) = link.recv::<Notice>(&mut buffer).expect("notices decode")
        else {
            return ExitCode::SUCCESS;
        };
        if notice == Notice::Ping {
            send(&link, &Order::Pong);
            continue;
        }
        to_test.report(&Reported::Notice(Box::new(notice.clone()), descriptors.len()));
        match notice {
            Notice::Config(_) => {
                let listener = UnixListener::from(descriptors.remove(0));
                let (link, to_test) = (Arc::clone(&link), to_test.clone());
                thread::spawn(move || serve_test(&listener, &link, &to_test));
            }
            Notice::Started { record, .. } => {
                follow_report(record.process, descriptors.remove(1), to_test.clone());
                follow_output(record.process, descriptors.remove(0), to_test.clone());
            }
            Notice::Adopt(record) => {
                follow_output(record.process, descriptors.remove(0), to_test.clone());
            }
            _ => {}
        }
    }
}

fn wait_readable(link: &Channel) {
    let mut watched = [PollFd::new(link.as_fd(), PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::NONE).expect("poll works");
}

fn serve_test(listener: &UnixListener, link: &Channel, to_test: &ToTest) {
    let (stream, _) = listener.accept().expect("the test connects");
    to_test.connected(stream.try_clone().expect("there are descriptors left"));
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str(&line).expect("the test asks properly") {
            Ask::Order(order) => send(link, &order),
            Ask::Flood(order, times) => (0..times).for_each(|_| send(link, &order)),
            Ask::Print(bytes) => std::io::stderr().write_all(&bytes).expect("the supervisor reads"),
            Ask::LeaveWriters(megabytes) => {
                let write = format!("dd if=/dev/zero bs=1M count={megabytes} >&2 2>/dev/null &");
                let shell = std::process::Command::new("/bin/sh").args(["-c", &write.repeat(3)]).status();
                assert!(shell.is_ok_and(|status| status.success()), "there is a shell");
                std::process::exit(0);
            }
            Ask::Nonsense => send(link, &"no order at all"),
            Ask::Sleep => {
                // The whole process stops: the main thread reads nothing either.
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).expect("it may stop itself");
            }
            Ask::Exit(status) => std::process::exit(status),
        }
    }
}

fn send(link: &Channel, order: &impl Serialize) {
    while let Err(why) = link.send(order, &[]) {
        assert_eq!(why.kind(), std::io::ErrorKind::WouldBlock, "{why}");
        let mut watched = [PollFd::new(link.as_fd(), PollFlags::POLLOUT)];
        poll(&mut watched, PollTimeout::NONE).expect("poll works");
    }
}

fn follow_report(process: ProcessId, pipe: OwnedFd, to_test: ToTest) {
    thread::spawn(move || {
        let mut text = String::new();
        let mut lines = BufReader::new(blocking(pipe));
        while text != "ready\n" && lines.read_line(&mut text).expect("reports are text") > 0 {}
        to_test.report(&Reported::Report(process, text));
    });
}

fn follow_output(process: ProcessId, pipe: OwnedFd, to_test: ToTest) {
    thread::spawn(move || {
        for line in BufReader::new(blocking(pipe)).lines().map_while(Result::ok) {
            to_test.report(&Reported::Output(process, line));
        }
    });
}

/// Makes a pipe blocking, which does not affect the supervisor: it never reads these pipes.
fn blocking(pipe: OwnedFd) -> File {
    let flags = OFlag::from_bits_truncate(fcntl(&pipe, FcntlArg::F_GETFL).expect("it is open"));
    fcntl(&pipe, FcntlArg::F_SETFL(flags & !OFlag::O_NONBLOCK)).expect("it is open");
    File::from(pipe)
}
