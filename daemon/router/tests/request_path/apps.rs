//! Application processes, each played by one thread for each connection. They allocate no memory for a request.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;

use protocol::app_kind::AppKind;

/// What a loader sends when it accepts a connection.
const GREETING: [u8; 8] = [0, 0, 0, 0, 6, 0, 0, 0];
/// Twelve bytes as a loader sends them: a head, and a body that ends the response.
const FROM_LOADER: &[u8] = b"\x30\0\0\0\x01\0\0\x00200 OK\0Content-Type\0text/plain\0Content-Length\x0012\
    \x0c\0\0\0\x02\x01\0\0hello world\n";
const FROM_SERVER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 12\r\n\r\nhello world\n";
/// A head after which the app itself writes to the connection.
const RAW_HEAD: &[u8] = b"\x06\0\0\0\x01\x02\0\x00200 OK";

/// Answers every request with twelve bytes.
pub(crate) fn hello(mut stream: UnixStream, kind: AppKind) {
    let mut room = vec![0; 64 * 1024];
    if kind == AppKind::Generic {
        while receive(&mut stream, &mut room, |received| received.ends_with(b"\r\n\r\n")) {
            stream.write_all(FROM_SERVER).unwrap();
        }
        return;
    }
    stream.write_all(&GREETING).unwrap();
    while receive(&mut stream, &mut room, is_complete) {
        stream.write_all(FROM_LOADER).unwrap();
    }
}

/// Answers each request with bytes without end, and reports when the router does not take them any more.
pub(crate) fn endless(mut stream: UnixStream, ended: &Sender<()>) {
    let mut room = vec![0; 64 * 1024];
    stream.write_all(&GREETING).unwrap();
    if receive(&mut stream, &mut room, is_complete) {
        stream.write_all(RAW_HEAD).unwrap();
        while stream.write_all(&room).is_ok() {}
        ended.send(()).unwrap();
    }
}

/// Reads a request; false when the connection has ended.
fn receive(stream: &mut UnixStream, room: &mut [u8], is_complete: fn(&[u8]) -> bool) -> bool {
    let mut received = 0;
    loop {
        match stream.read(&mut room[received..]) {
            Ok(more) if more > 0 => received += more,
            _ => return false,
        }
        if is_complete(&room[..received]) {
            return true;
        }
    }
}

/// Whether a block of the session protocol without a body is complete.
fn is_complete(received: &[u8]) -> bool {
    received.first_chunk().is_some_and(|len| u32::from_le_bytes(*len) as usize + 16 == received.len())
}
