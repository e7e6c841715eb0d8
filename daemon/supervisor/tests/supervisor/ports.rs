//! Ports of generic apps.

use std::collections::HashSet;
use std::io::Read;
use std::net::TcpStream;

use common::link::Address;

use crate::daemon::{Daemon, eventually, generic};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("a_generic_app_listens_on_the_port_it_is_given", a_generic_app_listens_on_the_port_it_is_given),
    test("live_processes_have_ports_of_their_own", live_processes_have_ports_of_their_own),
];

fn a_generic_app_listens_on_the_port_it_is_given() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let server = "python3 -c 'import os, socket
s = socket.create_server((\"127.0.0.1\", int(os.environ[\"PORT\"])))
s.accept()[0].sendall(b\"here\")'";
    let mut spec = generic(&root, server);
    spec.settings.env_var = vec![("PATH".into(), "/usr/bin:/bin".into())];
    let record = daemon.spawn(spec);
    let Address::Tcp(port) = record.address else { panic!("{:?}", record.address) };
    let mut stream = eventually("an open port", || TcpStream::connect(("127.0.0.1", port)).ok());
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "here");
}

fn live_processes_have_ports_of_their_own() {
    let mut daemon = Daemon::start();
    let root = daemon.app("app");
    let mut ports = HashSet::new();
    for _ in 0..8 {
        let Address::Tcp(port) = daemon.spawn(generic(&root, "sleep 1000")).address else {
            panic!("no port")
        };
        ports.insert(port);
    }
    assert_eq!(ports.len(), 8);
}
