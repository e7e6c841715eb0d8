//! Large uploads and downloads: they arrive complete, and the router's memory does not grow. These tests exclude each other.

use std::fs::File;
use std::io::Read;

use test_support::{
    Connection, Exclusive, Memory, OneApp, UPLOAD_LEN, for_each_language, sha256_of_upload, upload_file,
};

const GROWTH_KIB: u64 = 16 * 1024;

for_each_language! {
    fn receives_200_mb_with_a_content_length(language) {
        let turn = Exclusive::lock();
        let setup = OneApp::of(language);
        let before = started(&setup);
        let mut client = setup.nginx.connect();
        client.send(format!("POST /hash HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD_LEN}\r\n\r\n"));
        upload(&turn, &mut client, |client, part| {
            client.send(part);
        });
        assert_eq!(client.read_response().expect(200).text(), format!("{} {UPLOAD_LEN}", sha256_of_upload(&turn)));
        assert_small(&setup, before);
    }

    fn receives_200_mb_in_chunks(language) {
        let turn = Exclusive::lock();
        let setup = OneApp::of(language);
        let before = started(&setup);
        let mut client = setup.nginx.connect();
        client.send("POST /hash HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        upload(&turn, &mut client, |client, part| {
            client.send(format!("{:x}\r\n", part.len())).send(part).send("\r\n");
        });
        client.send("0\r\n\r\n");
        assert_eq!(client.read_response().expect(200).text(), format!("{} {UPLOAD_LEN}", sha256_of_upload(&turn)));
        assert_small(&setup, before);
    }

    fn streams_200_mb_in_chunks_unbuffered(language) {
        let turn = Exclusive::lock();
        let setup = OneApp::with(language, "passenger_request_buffering off;", |daemon| daemon);
        let before = started(&setup);
        let mut client = setup.nginx.connect();
        client.send("POST /hash HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        upload(&turn, &mut client, |client, part| {
            client.send(format!("{:x}\r\n", part.len())).send(part).send("\r\n");
        });
        client.send("0\r\n\r\n");
        assert_eq!(client.read_response().expect(200).text(), format!("{} {UPLOAD_LEN}", sha256_of_upload(&turn)));
        assert_small(&setup, before);
    }

    fn sends_1_gb(language) {
        const LEN: u64 = 1 << 30;
        let _exclusive = Exclusive::lock();
        let setup = OneApp::of(language);
        let before = started(&setup);
        let mut client = setup.nginx.connect();
        client.send(test_support::Request::get("/download?mb=1024").bytes("close"));
        let head = client.read_head();
        assert_eq!(head.header("Content-Length"), Some(LEN.to_string().as_str()));
        let (mut len, mut most, mut wrong) = (0, 0, 0);
        let complete = client.read_body(&head, "GET", |part| {
            wrong += part.iter().filter(|byte| **byte != b'x').count();
            // Looked at about a hundred times on the way.
            if len / (10 << 20) != (len + part.len() as u64) / (10 << 20) {
                most = most.max(Memory::resident_kib(setup.daemon.router()));
            }
            len += part.len() as u64;
        });
        assert!(complete.unwrap(), "cut after {len} bytes");
        assert_eq!((len, wrong), (LEN, 0));
        assert!(most < before + GROWTH_KIB, "the router grew from {before} to {most} KiB");
    }
}

/// The router's memory once it has served a request.
fn started(setup: &OneApp) -> u64 {
    setup.app_pid();
    Memory::resident_kib(setup.daemon.router())
}

fn assert_small(setup: &OneApp, before: u64) {
    let after = Memory::resident_kib(setup.daemon.router());
    assert!(after < before + GROWTH_KIB, "the router grew from {before} to {after} KiB");
}

fn upload(turn: &Exclusive, client: &mut Connection, mut send: impl FnMut(&mut Connection, &[u8])) {
    let mut file = File::open(upload_file(turn)).unwrap();
    let mut part = vec![0; 256 * 1024];
    loop {
        let got = file.read(&mut part).unwrap();
        if got == 0 {
            return;
        }
        send(client, &part[..got]);
    }
}
