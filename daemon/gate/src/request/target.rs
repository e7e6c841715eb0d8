//! Targets of requests: the path that chooses an application and a public file, and hosts.

use bytes::Bytes;

use super::Refused;

/// A target in origin form, and the host of one in absolute form.
pub(crate) struct Target {
    pub(crate) origin: Bytes,
    pub(crate) host: Option<Bytes>,
}

/// Splits a target of HTTP/1: `/path?query`, or `http://host/path?query`, of which the host takes precedence over the
/// header.
pub(crate) fn split(target: &Bytes) -> Result<Target, Refused> {
    if target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f || *byte == b'#') {
        return Err(Refused::bad("the request target contains a control character, a space or a fragment"));
    }
    if target.starts_with(b"/") {
        return Ok(Target { origin: target.clone(), host: None });
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else {
        return Err(Refused::bad("the request target is neither a path nor a URL"));
    };
    let rest = target.slice(scheme.len()..);
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    let (host, path) = (rest.slice(..end), rest.slice(end..));
    let origin = match path.first() {
        None => Bytes::from_static(b"/"),
        Some(b'?') => [b"/", &path[..]].concat().into(),
        Some(_) => path,
    };
    Ok(Target { origin, host: Some(host) })
}

/// Returns the decoded path of a target in origin form, without its query: `%`-escapes are decoded, `.`, `..` and
/// repeated slashes are resolved, as nginx does to find a location.
pub(crate) fn path(origin: &[u8]) -> Result<Vec<u8>, Refused> {
    let end = origin.iter().position(|byte| *byte == b'?').unwrap_or(origin.len());
    let decoded = decode(&origin[..end])?;
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut is_directory = false;
    for segment in decoded.split(|byte| *byte == b'/').skip(1) {
        is_directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop().ok_or(Refused::bad("the path leads above the root"))?;
            }
            _ => segments.push(segment),
        }
    }
    let mut path = Vec::with_capacity(decoded.len());
    for segment in &segments {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    if is_directory || path.is_empty() {
        path.push(b'/');
    }
    Ok(path)
}

fn decode(path: &[u8]) -> Result<Vec<u8>, Refused> {
    const INVALID: Refused = Refused::bad("the path contains an invalid % escape");
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let [high, low, after @ ..] = after else { return Err(INVALID) };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or(INVALID);
        let byte = (digit(high)? * 16 + digit(low)?) as u8;
        if byte == 0 {
            return Err(Refused::bad("the path contains an escaped NUL"));
        }
        out.push(byte);
        rest = after;
    }
    Ok(out)
}

/// Checks a host with an optional port: letters, digits and `-._~!$&'()*+;=`, or an address in brackets.
pub(crate) fn check_host(host: &[u8]) -> Result<(), Refused> {
    const INVALID: Refused = Refused::bad("the host is invalid");
    let (name, port) = match host.first() {
        Some(b'[') => {
            let end = host.iter().position(|byte| *byte == b']').ok_or(INVALID)?;
            let inner = str::from_utf8(&host[1..end]).map_err(|_| INVALID)?;
            inner.parse::<std::net::Ipv6Addr>().map_err(|_| INVALID)?;
            match &host[end + 1..] {
                [] => return Ok(()),
                [b':', port @ ..] => (&host[..=end], Some(port)),
                _ => return Err(INVALID),
            }
        }
        _ => match host.iter().position(|byte| *byte == b':') {
            Some(at) => (&host[..at], Some(&host[at + 1..])),
            None => (host, None),
        },
    };
    let is_bracketed = name.starts_with(b"[");
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(byte);
    if name.is_empty() || !(is_bracketed || name.iter().all(is_allowed)) {
        return Err(INVALID);
    }
    if name.starts_with(b".") || name.windows(2).any(|two| two == b"..") {
        return Err(INVALID);
    }
    match port {
        Some(port) if port.len() > 5 || !port.iter().all(u8::is_ascii_digit) => Err(INVALID),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(target: &str) -> Result<String, Refused> {
        path(target.as_bytes()).map(|path| String::from_utf8_lossy(&path).into_owned())
    }

    #[test]
    fn paths_are_decoded_and_resolved() {
        for (target, wanted) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b", "/a/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a%2fb?x=/../..", "/a/b"),
            ("/%61", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/...", "/..."),
        ] {
            assert_eq!(path_of(target), Ok(wanted.to_owned()), "{target}");
        }
        for target in ["/..", "/a/../..", "/%2e%2e/x", "/a%2f..%2f..", "/%", "/%1", "/%zz", "/%00", "/a%00b"]
        {
            assert_eq!(path_of(target).map_err(|refused| refused.status), Err(400), "{target}");
        }
    }

    #[test]
    fn absolute_targets_name_their_host() {
        let split = |text: &'static str| {
            let target = split(&Bytes::from_static(text.as_bytes())).map_err(|refused| refused.status)?;
            let host = target.host.map(|host| String::from_utf8_lossy(&host).into_owned());
            Ok((String::from_utf8_lossy(&target.origin).into_owned(), host))
        };
        let ok = |origin: &str, host: Option<&str>| Ok((origin.to_owned(), host.map(str::to_owned)));
        assert_eq!(split("/a?b"), ok("/a?b", None));
        assert_eq!(split("http://x.org/a?b"), ok("/a?b", Some("x.org")));
        assert_eq!(split("HTTPS://x.org:8080"), ok("/", Some("x.org:8080")));
        assert_eq!(split("http://x.org?b"), ok("/?b", Some("x.org")));
        for wrong in ["*", "x.org:80", "ftp://x/", "", "a", "/a b", "/a\t", "/a#b", "/\x7f"] {
            assert_eq!(split(wrong), Err(400), "{wrong:?}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        for host in ["a", "example.org", "example.org.", "a_b.c", "192.0.2.1:80", "[::1]", "[::1]:8080", "a:"]
        {
            assert_eq!(check_host(host.as_bytes()), Ok(()), "{host}");
        }
        for host in [
            "", ":80", "a b", "a/b", "a@b", "a,b", "a:b", "a:123456", "[::1", "[x]", "[::1]x", "a..b", ".a",
            "a\\b", "a%00", "a?b", "a#b", "\u{e4}",
        ] {
            assert!(check_host(host.as_bytes()).is_err(), "{host}");
        }
    }
}
