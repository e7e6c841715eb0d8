//! Requests encoded as blocks of the session protocol.

use protocol::request::{BodyLength, Request};

use crate::app_protocol::cgi;

/// The kind of body of a block that is not a request.
const OUT_OF_BAND: u8 = 3;
/// The method of out-of-band work.
pub(crate) const OUT_OF_BAND_METHOD: &str = "OOBW";
/// The part of a request that an app may rely on.
const OUT_OF_BAND_VARIABLES: [(&str, &str); 8] = [
    ("REQUEST_METHOD", OUT_OF_BAND_METHOD),
    ("SCRIPT_NAME", ""),
    ("PATH_INFO", "/"),
    ("QUERY_STRING", ""),
    ("REQUEST_URI", "/"),
    ("SERVER_NAME", "localhost"),
    ("SERVER_PORT", "80"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
];

/// Appends a request's header and environment block to `out`; `env` are the app's own variables.
pub(crate) fn write_request(request: &Request<'_>, env: &[(String, String)], out: &mut Vec<u8>) {
    let start = out.len();
    let (kind, length) = match request.head.body {
        BodyLength::None => (0u8, 0),
        BodyLength::Known(length) => (1, length),
        BodyLength::Unknown => (2, 0),
    };
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[kind, 0, 0, 0]);
    out.extend_from_slice(&length.to_le_bytes());
    let block = out.len();
    cgi::write_variables(request, &mut Block(out));
    for (name, value) in env {
        cgi::Variables::put(&mut Block(out), name.as_bytes(), value.as_bytes());
    }
    end_block(out, start, block);
}

/// Appends the order to do out-of-band work. A WSGI app is called with it, as with a request.
pub(crate) fn write_out_of_band(env: &[(String, String)], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[OUT_OF_BAND, 0, 0, 0]);
    out.extend_from_slice(&0u64.to_le_bytes());
    let block = out.len();
    let own = env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in OUT_OF_BAND_VARIABLES.into_iter().chain(own) {
        cgi::Variables::put(&mut Block(out), name.as_bytes(), value.as_bytes());
    }
    end_block(out, start, block);
}

fn end_block(out: &mut Vec<u8>, start: usize, block: usize) {
    // The last NUL separates nothing.
    out.truncate(out.len() - 1);
    let len = (out.len() - block) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

/// Writer of `key NUL value NUL`.
struct Block<'a>(&'a mut Vec<u8>);

impl cgi::Variables for Block<'_> {
    fn put(&mut self, name: &[u8], value: &[u8]) {
        self.0.extend_from_slice(name);
        self.0.push(0);
        self.0.extend_from_slice(value);
        self.0.push(0);
    }

    fn put_header<'v>(&mut self, name: &[u8], values: impl Iterator<Item = &'v [u8]>, separator: &[u8]) {
        self.0.extend_from_slice(b"HTTP_");
        self.0.extend(name.iter().map(|b| if *b == b'-' { b'_' } else { b.to_ascii_uppercase() }));
        self.0.push(0);
        for (at, value) in values.enumerate() {
            if at > 0 {
                self.0.extend_from_slice(separator);
            }
            self.0.extend_from_slice(value);
        }
        self.0.push(0);
    }
}
