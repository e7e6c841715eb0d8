//! The first bytes of each connection to the daemon: who connects, and when it read its configuration.

use std::io::{self, ErrorKind};

use bytes::BytesMut;
use common::sys::clock::now_ms;
use module_core::response_head::{Greeting, find_greeting};
use protocol::globals::Globals;
use protocol::hello::Hello;
use protocol::{CURRENT_VERSION, SPOKEN_VERSIONS};

use crate::listen::stream::Stream;
use crate::request::encode::SERVER_SOFTWARE;

/// Returns the greeting of the gate of this name, for a configuration that was read now. The gate has no settings for
/// the daemon as a whole, which reads the same file.
pub(crate) fn greeting(instance: &str) -> Vec<u8> {
    let hello = Hello {
        versions: SPOKEN_VERSIONS.to_vec(),
        using: CURRENT_VERSION,
        module_version: env!("CARGO_PKG_VERSION").to_owned(),
        nginx_version: SERVER_SOFTWARE.to_owned(),
        hears_goodbye: true,
        takes_log_line: false,
        instance: instance.to_owned(),
    };
    [hello.to_frame(), Globals::time_only_frame(now_ms())].concat()
}

/// Sends the greeting and waits for the welcome.
///
/// # Errors
///
/// `UnexpectedEof`, or another error of the connection, when the daemon ends; otherwise the reason of a refusal.
pub(super) async fn exchange(stream: &Stream, greeting: &[u8]) -> io::Result<()> {
    stream.write_all(greeting).await?;
    let mut received = BytesMut::new();
    loop {
        match find_greeting(&received).map_err(io::Error::other)? {
            Some(Greeting::Welcome(used)) if used == received.len() => return Ok(()),
            // It says goodbye already.
            Some(_) => return Err(ErrorKind::UnexpectedEof.into()),
            None => {
                if stream.read(&mut received).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}
