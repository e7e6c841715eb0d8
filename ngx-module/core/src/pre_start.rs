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
    /// The path, without query.
    pub path: String,
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
        Ok(Self { is_https, listener, host: host.to_ascii_lowercase(), path: path.to_owned() })
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

/// Returns the index of the location that serves a path, by nginx's rules. `locations` are those of one server, with
/// their names, in the order of the configuration.
pub fn location_of(path: &str, locations: &[(&[u8], LocationKind)]) -> Option<usize> {
    use LocationKind::{Exact, Prefix, PrefixOnly, Regex};
    let position = |is_wanted: &dyn Fn(&[u8], LocationKind) -> bool| {
        locations.iter().position(|(name, kind)| is_wanted(name, *kind))
    };
    if let Some(exact) = position(&|name, kind| kind == Exact && name == path.as_bytes()) {
        return Some(exact);
    }
    let prefixes = locations
        .iter()
        .enumerate()
        .filter(|(_, (name, kind))| matches!(kind, Prefix | PrefixOnly) && path.as_bytes().starts_with(name));
    let longest = prefixes.max_by_key(|(_, (name, _))| name.len());
    if let Some((at, (_, PrefixOnly))) = longest {
        return Some(at);
    }
    position(&|_, kind| kind == Regex(true)).or(longest.map(|(at, _)| at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> (Listener, String, String) {
        let Url { listener, host, path, .. } = Url::parse(value).unwrap();
        (listener, host, path)
    }

    #[test]
    fn listener_host_and_path_are_read() {
        for (value, port, host, path) in [
            ("http://Shop.example/a?b=1#c", 80, "shop.example", "/a"),
            ("https://a", 443, "a", "/"),
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
        ] {
            assert!(Url::parse(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_path_is_served_by_the_location_that_nginx_chooses() {
        use LocationKind::{Exact, Prefix, PrefixOnly, Regex};
        let locations = |matches| -> Vec<(&[u8], LocationKind)> {
            vec![
                (b"", Prefix),
                (b"/", Prefix),
                (b"/shop", Prefix),
                (b"/shop/static", PrefixOnly),
                (b"/shop/cart", Exact),
                (b"\\.php$", Regex(matches)),
            ]
        };
        for (path, matches, expected) in [
            ("/x", false, 1),
            ("/shop", false, 2),
            ("/shop/cart", true, 4),
            ("/shop/cart/x", false, 2),
            ("/shop/x.php", true, 5),
            ("/shop/static/x.php", true, 3),
        ] {
            assert_eq!(location_of(path, &locations(matches)), Some(expected), "{path}");
        }
        assert_eq!(location_of("/x", &[(b"/shop", Prefix)]), None);
    }
}
