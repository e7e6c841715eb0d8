//! The value of `passenger_pre_start`: a URL, as far as it determines which application serves it.

use std::fmt;
use std::net::Ipv6Addr;

/// A URL that this nginx serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    is_https: bool,
    /// Where nginx listens for it.
    pub listener: Listener,
    /// The host name or address, in lower case.
    pub host: String,
    /// The path as written, without query.
    path: String,
    /// The path as nginx compares it with locations: decoded, without `.`, `..` and repeated slashes.
    pub uri: Vec<u8>,
}

/// An address on which nginx listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// A TCP port.
    Port(u16),
    /// A unix socket.
    Socket(String),
}

impl Url {
    /// Parses `http://host…`, `https://host…`, or `http://unix:/socket:/path`, where the scheme is optional. User and
    /// password, query and fragment are ignored.
    ///
    /// # Errors
    ///
    /// The requirement that the value does not meet.
    pub fn parse(value: &str) -> Result<Self, &'static str> {
        if !value.chars().all(|c| c.is_ascii_graphic()) {
            return Err("must contain only printable ASCII characters; write others as %XX");
        }
        let value = value.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = match value.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None if value.starts_with("unix:") => ("http".to_owned(), value),
            None => return Err("must be a URL such as \"http://shop.example/path\""),
        };
        let (is_https, default_port) = match scheme.as_str() {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err("must begin with \"http://\", \"https://\" or \"unix:\""),
        };
        let (listener, host, path) = match rest.strip_prefix("unix:") {
            Some(rest) => at_socket(rest)?,
            None => at_host(rest, default_port)?,
        };
        let uri = normalised(path).ok_or("must contain a path that nginx accepts")?;
        // nginx ignores a dot at the end of a name.
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        Ok(Self { is_https, listener, host, path: path.to_owned(), uri })
    }
}

/// The form for log lines: without user and password.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        match &self.listener {
            Listener::Socket(socket) => write!(f, "{scheme}://unix:{socket}:{}", self.path),
            Listener::Port(port) if *port == if self.is_https { 443 } else { 80 } => {
                write!(f, "{scheme}://{}{}", self.host, self.path)
            }
            Listener::Port(port) => write!(f, "{scheme}://{}:{port}{}", self.host, self.path),
        }
    }
}

fn at_socket(rest: &str) -> Result<(Listener, &str, &str), &'static str> {
    let (socket, path) = rest.split_once(':').unwrap_or((rest, "/"));
    if !socket.starts_with('/') || !path.starts_with('/') {
        return Err("must have the form \"unix:/path/of/socket:/path\"");
    }
    Ok((Listener::Socket(socket.to_owned()), "localhost", path))
}

fn at_host(rest: &str, default_port: u16) -> Result<(Listener, &str, &str), &'static str> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = authority.rsplit_once('@').map_or(authority, |(_user, address)| address);
    // The colons of an IPv6 address are inside brackets.
    let (host, port) = match address.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, port)) => (host, port.parse().ok().filter(|_| port.bytes().all(|c| c.is_ascii_digit()))),
        None => (address, Some(default_port)),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
    };
    if !is_host {
        return Err("must contain a host name or an address, as in \"http://shop.example/path\"");
    }
    let port = port.filter(|port| *port > 0).ok_or("must contain a port between 1 and 65535")?;
    Ok((Listener::Port(port), host, if path.is_empty() { "/" } else { path }))
}

/// Returns a path as nginx normalises that of a request; `None` where nginx refuses the request.
fn normalised(path: &str) -> Option<Vec<u8>> {
    let decoded = decoded(path)?;
    let mut uri = Vec::new();
    let mut segments = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b".." => uri.truncate(uri.iter().rposition(|byte| *byte == b'/')?),
            b"" | b"." => {}
            _ => uri.extend([b"/", segment].concat()),
        }
        if is_last && matches!(segment, b"" | b"." | b"..") {
            uri.push(b'/');
        }
    }
    Some(uri)
}

fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut parts = path.split('%');
    let mut decoded = parts.next()?.as_bytes().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        let is_hex = code.bytes().all(|byte| byte.is_ascii_hexdigit());
        let byte = u8::from_str_radix(code, 16).ok().filter(|byte| is_hex && *byte != 0)?;
        decoded.push(byte);
        decoded.extend_from_slice(rest.as_bytes());
    }
    Some(decoded)
}

/// How a location's name is compared with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationKind {
    /// `location = /name`.
    Exact,
    /// `location ^~ /name`.
    PrefixOnly,
    /// `location /name`, or the server itself, whose name is empty.
    Prefix,
    /// `location ~ name`; whether the expression matches the path.
    Regex(bool),
}

/// A location of a server, or the server itself.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Identifies it.
    pub id: usize,
    /// The block that contains it.
    pub outer: usize,
    /// Its name.
    pub name: &'a [u8],
    /// How the name is compared.
    pub kind: LocationKind,
    /// Whether nginx redirects to its name, which ends with a slash, from a path without it.
    pub redirects: bool,
}

/// Returns the index of the location that serves a path, by nginx's rules. `locations` are those of one server, in the
/// order of the configuration, with the server itself first.
pub fn location_of(path: &[u8], locations: &[Candidate<'_>]) -> Option<usize> {
    location_in(locations.first()?.outer, path, locations).map(|(at, _)| at)
}

/// Returns the location in the block `outer`, and whether regular expressions of the blocks around are not tried.
fn location_in(outer: usize, path: &[u8], locations: &[Candidate<'_>]) -> Option<(usize, bool)> {
    use LocationKind::{Exact, Prefix, PrefixOnly, Regex};
    let inner = || locations.iter().enumerate().filter(move |(_, location)| location.outer == outer);
    let is_exact = |location: &Candidate<'_>| location.kind == Exact && location.name == path;
    let redirects =
        |location: &Candidate<'_>| location.redirects && location.name.strip_suffix(b"/") == Some(path);
    let exact = inner().find(|(_, location)| is_exact(location));
    if let Some((at, _)) = exact.or_else(|| inner().find(|(_, location)| redirects(location))) {
        return Some((at, true));
    }
    let longest = inner()
        .filter(|(_, location)| {
            matches!(location.kind, Prefix | PrefixOnly) && path.starts_with(location.name)
        })
        .max_by_key(|(_, location)| location.name.len());
    let found =
        longest.map(|(at, location)| location_in(location.id, path, locations).unwrap_or((at, false)));
    let is_final = found.is_some_and(|(_, is_final)| is_final);
    if is_final || longest.is_some_and(|(_, location)| location.kind == PrefixOnly) {
        return found;
    }
    let regex = inner().find(|(_, location)| location.kind == Regex(true));
    let matching = regex
        .map(|(at, location)| (location_in(location.id, path, locations).map_or(at, |(at, _)| at), true));
    matching.or(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> (Listener, String, String) {
        let Url { listener, host, uri, .. } = Url::parse(value).unwrap();
        (listener, host, String::from_utf8(uri).unwrap())
    }

    #[test]
    fn listener_host_and_path_are_read() {
        for (value, port, host, path) in [
            ("http://Shop.example/a?b=1#c", 80, "shop.example", "/a"),
            ("https://a", 443, "a", "/"),
            ("http://shop.example./", 80, "shop.example", "/"),
            ("http://a/caf%C3%A9/%2e", 80, "a", "/caf\u{e9}/"),
            ("http://a//b/./c/../d//", 80, "a", "/b/d/"),
            ("http://a/b/c/..", 80, "a", "/b/"),
            ("http://a/x%3Fy", 80, "a", "/x?y"),
            ("HTTPS://a:8443?x", 8443, "a", "/"),
            ("http://me:secret@a:443/", 443, "a", "/"),
            ("http://192.0.2.7:81/", 81, "192.0.2.7", "/"),
            ("http://[2001:db8::1]", 80, "[2001:db8::1]", "/"),
            ("http://[::1]:8080/x", 8080, "[::1]", "/x"),
        ] {
            assert_eq!(parsed(value), (Listener::Port(port), host.into(), path.into()), "{value}");
        }
        for (value, path) in [("http://unix:/run/n.sock:/a:b", "/a:b"), ("unix:/run/n.sock", "/")] {
            let socket = Listener::Socket("/run/n.sock".into());
            assert_eq!(parsed(value), (socket, "localhost".into(), path.into()), "{value}");
        }
    }

    #[test]
    fn log_lines_do_not_contain_the_password() {
        for (value, shown) in [
            ("http://me:secret@shop.example", "http://shop.example/"),
            ("https://shop.example:8443/a?token=x", "https://shop.example:8443/a"),
            ("https://shop.example:443/", "https://shop.example/"),
            ("unix:/run/n.sock", "http://unix:/run/n.sock:/"),
        ] {
            assert_eq!(Url::parse(value).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn rejects_urls_that_nginx_cannot_serve() {
        for value in [
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
            "http://a:",
            "http://a b/",
            "http://a/\u{fc}",
            "http://a/\r\n",
            "http://[::1",
            "http://[x]/",
            "http://%41/",
            "unix:run/s",
            "http://unix:/s:a",
            "unix:",
            "http://a:80:80/",
            "http://a/../b",
            "http://a/%0",
            "http://a/%+1",
            "http://a/%00",
        ] {
            assert!(Url::parse(value).is_err(), "{value:?}");
        }
    }

    /// An identifier, that of the block around, a name and its kind.
    type Block = (usize, usize, &'static str, LocationKind);

    fn chosen(path: &str, blocks: &[Block]) -> Option<usize> {
        let candidate = |(id, outer, name, kind): &Block| Candidate {
            id: *id,
            outer: *outer,
            name: name.as_bytes(),
            kind: *kind,
            redirects: true,
        };
        let candidates: Vec<_> = blocks.iter().map(candidate).collect();
        location_of(path.as_bytes(), &candidates).map(|at| candidates[at].id)
    }

    #[test]
    fn a_path_is_served_by_the_location_that_nginx_chooses() {
        use LocationKind::{Exact, Prefix, PrefixOnly, Regex};
        for (path, matches, expected) in [
            ("/x", false, 2),
            ("/shop", false, 3),
            ("/shop/cart", true, 5),
            ("/shop/cart/x", false, 3),
            ("/shop/x.php", true, 6),
            ("/shop/static/x.php", true, 4),
            ("/blog", false, 7),
            ("/blog/x", false, 7),
        ] {
            let blocks = [
                (1, 0, "", Prefix),
                (2, 1, "/", Prefix),
                (3, 1, "/shop", Prefix),
                (4, 1, "/shop/static", PrefixOnly),
                (5, 1, "/shop/cart", Exact),
                (6, 1, "\\.php$", Regex(matches)),
                (7, 1, "/blog/", Prefix),
            ];
            assert_eq!(chosen(path, &blocks), Some(expected), "{path}");
        }
        assert_eq!(chosen("/x", &[(1, 0, "/shop", Prefix)]), None);
    }

    #[test]
    fn a_nested_location_serves_only_paths_of_the_outer_one() {
        use LocationKind::{Prefix, PrefixOnly, Regex};
        let blocks = [
            (1, 0, "", Prefix),
            (2, 1, "/admin", PrefixOnly),
            (3, 2, "\\.rb$", Regex(true)),
            (4, 1, "/shop", Prefix),
            (5, 4, "/shop/new", Prefix),
            (6, 1, "x", Regex(true)),
            (7, 6, "y", Regex(true)),
        ];
        for (path, expected) in [("/admin/x.rb", 3), ("/x.rb", 7), ("/shop/new/x.rb", 7)] {
            assert_eq!(chosen(path, &blocks), Some(expected), "{path}");
        }
        assert_eq!(chosen("/shop/new/x", &blocks[..5]), Some(5));
    }
}
