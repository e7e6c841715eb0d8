//! The value of `passenger_pre_start`: a URL, its address and request, and the status of its response.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A URL that this nginx serves, as the parts that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    is_https: bool,
    place: Place,
    /// As written, without a port.
    host: String,
    /// Including the query.
    path: String,
    /// Name and password, encoded for `Authorization: Basic`.
    credentials: Option<String>,
}

/// The address on which nginx listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// On this machine, or at the host's address if it is one.
    Port(u16),
    /// On a unix socket.
    Socket(String),
}

impl Url {
    /// Parses `http://host…`, `https://host…`, or `http://unix:/socket:/path`, where the scheme is optional.
    ///
    /// # Errors
    ///
    /// A message with the error and the expected form.
    pub fn parse(word: &str) -> Result<Self, String> {
        if let Some(bad) = word.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(format!("the URL must not contain {bad:?}: write it as %XX"));
        }
        let word = word.split('#').next().unwrap_or_default();
        let (is_https, rest) = scheme(word)?;
        match rest.strip_prefix("unix:") {
            Some(rest) => at_socket(is_https, rest),
            None => at_host(is_https, rest),
        }
    }

    /// Whether the request uses TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns the name by which the server selects its certificate; `None` for an address.
    pub fn server_name(&self) -> Option<&str> {
        (self.ip().is_none() && matches!(self.place, Place::Port(_))).then_some(&self.host)
    }

    /// Returns the address to connect to, in nginx's notation. A name is replaced by this machine: the request is for
    /// this nginx.
    pub fn address(&self) -> String {
        match (&self.place, self.ip()) {
            (Place::Socket(path), _) => format!("unix:{path}"),
            (Place::Port(port), Some(IpAddr::V6(ip))) => format!("[{ip}]:{port}"),
            (Place::Port(port), Some(IpAddr::V4(ip))) => format!("{ip}:{port}"),
            (Place::Port(port), None) => format!("127.0.0.1:{port}"),
        }
    }

    /// Returns the whole request.
    pub fn request(&self) -> Vec<u8> {
        let authorization =
            self.credentials.as_ref().map(|credentials| format!("Authorization: Basic {credentials}\r\n"));
        format!(
            "HEAD {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Flying Passenger pre-start\r\nConnection: close\r\n{}\r\n",
            self.path,
            self.host_and_port(),
            authorization.unwrap_or_default(),
        )
        .into_bytes()
    }

    fn ip(&self) -> Option<IpAddr> {
        let inner = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match inner {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => self.host.parse().ok(),
        }
    }

    fn host_and_port(&self) -> String {
        match self.place {
            Place::Port(port) if port != default_port(self.is_https) => format!("{}:{port}", self.host),
            _ => self.host.clone(),
        }
    }
}

/// The form for log lines: without name and password.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        match &self.place {
            Place::Socket(socket) => write!(f, "{scheme}://unix:{socket}:{}", self.path),
            Place::Port(_) => write!(f, "{scheme}://{}{}", self.host_and_port(), self.path),
        }
    }
}

/// Returns the status of a response from its first bytes; `None` when they are too few or not a response.
pub fn status(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Number of bytes that [`status`] needs.
pub const STATUS_LINE: usize = 12;

const EXAMPLE: &str = "it is written as in \"http://shop.example/path\"";

fn scheme(word: &str) -> Result<(bool, &str), String> {
    if word.starts_with("unix:") {
        return Ok((false, word));
    }
    let (scheme, rest) = word.split_once("://").ok_or_else(|| format!("\"{word}\" is no URL: {EXAMPLE}"))?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((false, rest)),
        "https" => Ok((true, rest)),
        _ => Err(format!("\"{scheme}\" is a scheme that nginx does not serve: use http or https")),
    }
}

fn at_socket(is_https: bool, rest: &str) -> Result<Url, String> {
    let (socket, path) = rest.split_once(':').unwrap_or((rest, "/"));
    if !socket.starts_with('/') || !path.starts_with('/') {
        return Err(format!("\"unix:{rest}\" is not of the form \"unix:/path/of/socket:/path\""));
    }
    if socket.len() > MAX_SOCKET_PATH {
        return Err(format!(
            "the path of the socket is longer than the {MAX_SOCKET_PATH} bytes the kernel takes"
        ));
    }
    Ok(Url {
        is_https,
        place: Place::Socket(socket.to_owned()),
        host: "localhost".to_owned(),
        path: path.to_owned(),
        credentials: None,
    })
}

fn at_host(is_https: bool, rest: &str) -> Result<Url, String> {
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = host_and_port(host, default_port(is_https))?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let credentials = user.map(credentials).transpose()?;
    Ok(Url { is_https, place: Place::Port(port), host: host.to_owned(), path, credentials })
}

fn host_and_port(text: &str, default: u16) -> Result<(&str, u16), String> {
    // The colons of an IPv6 address are inside brackets.
    let end = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text.get(end..).unwrap_or_default().find(':') {
        Some(colon) => (&text[..end + colon], Some(&text[end + colon + 1..])),
        None => (text, None),
    };
    check_host(host)?;
    let number = match port {
        None => Some(default),
        Some(port) => port.parse().ok().filter(|number| *number > 0 && !port.starts_with('+')),
    };
    let number = number
        .ok_or_else(|| format!("\"{}\" is no port: it is a number up to 65535", port.unwrap_or_default()))?;
    Ok((host, number))
}

fn check_host(host: &str) -> Result<(), String> {
    let ip = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_right = match ip {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
    };
    if is_right { Ok(()) } else { Err(format!("\"{host}\" is no name of a host: {EXAMPLE}")) }
}

fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

/// Encodes `user:password` of a URL, which may contain `%XX`, in Base64.
fn credentials(text: &str) -> Result<String, String> {
    let decoded = percent_decoded(text)
        .ok_or("name and password have a % that two hexadecimal digits do not follow")?;
    Ok(base64(&decoded))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        if *byte != b'%' {
            out.push(*byte);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = behind;
    }
    Some(out)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let number = number << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Size of `sun_path` without its final zero.
const MAX_SOCKET_PATH: usize = 107;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(url: &Url) -> String {
        String::from_utf8(url.request()).unwrap()
    }

    #[test]
    fn a_name_is_asked_for_on_this_machine() {
        let url = Url::parse("http://shop.example/a?b=1#c").unwrap();
        assert_eq!((url.address(), url.server_name()), ("127.0.0.1:80".to_owned(), Some("shop.example")));
        assert_eq!(
            text(&url),
            "HEAD /a?b=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Flying Passenger pre-start\r\n\
             Connection: close\r\n\r\n"
        );
    }

    #[test]
    fn ports_come_from_the_scheme_unless_they_are_written() {
        for (word, address, host) in [
            ("https://a", "127.0.0.1:443", "a"),
            ("HTTPS://a:8443?x", "127.0.0.1:8443", "a:8443"),
            ("http://a:443/", "127.0.0.1:443", "a:443"),
            ("http://192.0.2.7:81/", "192.0.2.7:81", "192.0.2.7:81"),
            ("http://[2001:db8::1]", "[2001:db8::1]:80", "[2001:db8::1]"),
            ("http://[::1]:8080/", "[::1]:8080", "[::1]:8080"),
            ("http://unix:/run/n.sock:/a:b", "unix:/run/n.sock", "localhost"),
            ("unix:/run/n.sock", "unix:/run/n.sock", "localhost"),
        ] {
            let url = Url::parse(word).unwrap();
            assert_eq!(url.address(), address, "{word}");
            assert!(text(&url).contains(&format!("\r\nHost: {host}\r\n")), "{word}: {}", text(&url));
        }
    }

    #[test]
    fn an_address_is_no_server_name() {
        for word in ["https://127.0.0.1", "https://[::1]/", "https://unix:/s"] {
            assert_eq!(Url::parse(word).unwrap().server_name(), None, "{word}");
        }
    }

    #[test]
    fn name_and_password_are_sent_and_not_logged() {
        let url = Url::parse("http://Aladdin:open%20sesame@shop.example/").unwrap();
        assert!(
            text(&url).contains("\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"),
            "{}",
            text(&url)
        );
        assert_eq!(url.to_string(), "http://shop.example/");
    }

    #[test]
    fn base64_pads_to_four_digits() {
        for (bytes, digits) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), digits);
        }
    }

    #[test]
    fn rejects_what_nginx_cannot_serve() {
        for word in [
            "",
            "/",
            "shop.example",
            "ftp://a/",
            "http://",
            "http:///a",
            "http://a:0/",
            "http://a:65536",
            "http://a:x",
            "http://a:+80",
            "http://a b/",
            "http://a/\u{fc}",
            "http://a/\r\n",
            "http://[::1",
            "http://[x]/",
            "http://%41/",
            "http://u%4@a/",
            "unix:run/s",
            "http://unix:/s:a",
            "unix:",
            "http://a:80:80/",
        ] {
            assert!(Url::parse(word).is_err(), "{word:?}");
        }
    }

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(status(b"HTTP/1.0 200"), Some(200));
        for bytes in [&b"HTTP/1.1 20"[..], b"", b"SSH-2.0-x y z", b"HTTP/1.1 abc"] {
            assert_eq!(status(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn a_request_has_as_many_lines_as_it_should(word in "(http|https)://[ -~\r\n]{0,40}") {
            if let Ok(url) = Url::parse(&word) {
                let lines = if url.credentials.is_some() { 7 } else { 6 };
                prop_assert_eq!(text(&url).split("\r\n").count(), lines);
            }
        }
    }
}
