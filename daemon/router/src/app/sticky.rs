//! Sticky sessions: cookies that route a client's requests to the process that served it before.
//!
//! The number in a cookie is derived from what the supervisor knows of the process, so that the next router computes
//! the same one. The cookie is sent only when it changes, and scripts in the page cannot read it (`HttpOnly`), unlike
//! Passenger's.

use protocol::request::Request;
use protocol::settings::Digest;

use common::link::ProcessRecord;

/// `passenger_sticky_sessions` with its cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sticky<'a> {
    /// The cookie's name.
    pub(crate) name: &'a str,
    /// The attributes after the cookie's path; `None` for `SameSite=Lax`, and `Secure` if the client uses TLS.
    pub(crate) attributes: Option<&'a str>,
}

/// Returns the number that identifies a process in cookies.
pub(crate) fn number_of(record: &ProcessRecord) -> u32 {
    let Digest([a, b, c, d, ..]) =
        Digest::of(format!("{} {} {}", record.process.0, record.pid, record.started_ms).as_bytes());
    u32::from_le_bytes([a, b, c, d])
}

impl Sticky<'_> {
    /// Returns the number in the client's cookie.
    pub(crate) fn asked(&self, request: &Request<'_>) -> Option<u32> {
        let cookies = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"cookie"));
        let pairs = cookies.flat_map(|(_, value)| value.split(|byte| *byte == b';'));
        let value = pairs.filter_map(|pair| self.value(pair.trim_ascii())).next()?;
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    fn value<'v>(&self, pair: &'v [u8]) -> Option<&'v [u8]> {
        pair.strip_prefix(self.name.as_bytes())?.strip_prefix(b"=")
    }

    /// Returns the `Set-Cookie` value that routes the client's next request to this process.
    pub(crate) fn cookie(&self, number: u32, base_uri: &str, https: bool) -> String {
        let path = if base_uri.is_empty() { "/" } else { base_uri };
        let usual = if https { "SameSite=Lax; Secure" } else { "SameSite=Lax" };
        let attributes = self.attributes.unwrap_or(usual).trim_matches([' ', ';']);
        let separator = if attributes.is_empty() { "" } else { "; " };
        format!("{}={number}; Path={path}; HttpOnly{separator}{attributes}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use protocol::frame::HEADER_LEN;
    use protocol::pairs;
    use protocol::request::{AppKind, AppRef, BodyLength, RequestHead};

    use super::*;

    fn sticky(attributes: Option<&str>) -> Sticky<'_> {
        Sticky { name: "_route", attributes }
    }

    fn asked(cookies: &[&str]) -> Option<u32> {
        let head = RequestHead {
            settings_digest: Digest::default(),
            settings_len: 0,
            app: AppRef { group: b"g", root: b"/", kind: AppKind::Node, start_command: b"" },
            method: b"GET",
            uri: b"/",
            base_uri: b"",
            document_root: b"/",
            remote_addr: b"",
            remote_port: 0,
            remote_user: b"",
            server_software: b"",
            https: false,
            upgrade: false,
            started_ms: 0,
            body: BodyLength::None,
        };
        let mut frame = Vec::new();
        let headers =
            |out: &mut Vec<u8>| cookies.iter().for_each(|c| pairs::put(out, b"Cookie", c.as_bytes()));
        head.write_frame(b"", headers, &mut frame).unwrap();
        sticky(None).asked(&Request::decode(&frame[HEADER_LEN..]).unwrap())
    }

    #[test]
    fn the_number_is_found_among_other_cookies() {
        assert_eq!(asked(&["a=1; _route=42; b=2"]), Some(42));
        assert_eq!(asked(&["a=1", "_route=7"]), Some(7));
        for cookies in
            [&["x_route=1"][..], &["_route2=1"], &["_route=-1"], &["_route=99999999999"], &["_route"], &[]]
        {
            assert_eq!(asked(cookies), None, "{cookies:?}");
        }
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts() {
        assert_eq!(sticky(None).cookie(5, "", false), "_route=5; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(
            sticky(None).cookie(5, "/blog", true),
            "_route=5; Path=/blog; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(sticky(Some("Max-Age=9;")).cookie(5, "", true), "_route=5; Path=/; HttpOnly; Max-Age=9");
        assert_eq!(sticky(Some("")).cookie(5, "", true), "_route=5; Path=/; HttpOnly");
    }
}
