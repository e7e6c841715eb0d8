//! Requests encoded as blocks of the session protocol.

use protocol::request::{BodyLength, Request};

use crate::app_protocol::cgi::{self, Variables};

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
    let (kind, length) = match request.head.body {
        BodyLength::None => (0u8, 0),
        BodyLength::Known(length) => (1, length),
        BodyLength::Unknown => (2, 0),
    };
    write_block(kind, length, env, out, |block| cgi::write_variables(request, block));
}

/// Appends the request for out-of-band work. A WSGI app is called with it, as with a request.
pub(crate) fn write_out_of_band(env: &[(String, String)], out: &mut Vec<u8>) {
    write_block(OUT_OF_BAND, 0, env, out, |block| {
        for (name, value) in OUT_OF_BAND_VARIABLES {
            block.put(name.as_bytes(), value.as_bytes());
        }
    });
}

/// Appends a header, the variables of `write` and those of the app.
fn write_block(
    kind: u8,
    body_length: u64,
    env: &[(String, String)],
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Variables<'_>),
) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind, 0, 0, 0]);
    out.extend_from_slice(&body_length.to_le_bytes());
    let variables = out.len();
    let mut block = Variables(out);
    write(&mut block);
    for (name, value) in env {
        block.put(name.as_bytes(), value.as_bytes());
    }
    // The last NUL separates nothing.
    out.truncate(out.len() - 1);
    let len = (out.len() - variables) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}
